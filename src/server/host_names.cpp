#include "server/host_names.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include "vase/llama.hpp"

namespace vase::server {
namespace {

bool is_port(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// The host of "host", "host:port" or "[address]:port", in lower case and without the dot that may
// end a name; "" if it is none of these.
std::string host_of(std::string_view header) {
  std::string_view host = header;
  std::string_view rest;
  if (header.starts_with('[')) {
    const auto end = header.find(']');
    if (end == header.npos) return {};
    host = header.substr(1, end - 1);
    rest = header.substr(end + 1);
  } else if (const auto colon = header.find(':'); colon != header.npos) {
    host = header.substr(0, colon);
    rest = header.substr(colon);
  }
  if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return {};
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string lower(host);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

std::optional<in_addr> v4_of(const std::string &text) {
  in_addr address{};
  return inet_pton(AF_INET, text.c_str(), &address) == 1 ? std::optional(address) : std::nullopt;
}

// A zone ("fe80::1%eth0") says by which way the address is reached and is no part of it.
std::optional<in6_addr> v6_of(const std::string &text) {
  in6_addr address{};
  const std::string bare = text.substr(0, text.find('%'));
  return inet_pton(AF_INET6, bare.c_str(), &address) == 1 ? std::optional(address) : std::nullopt;
}

template <typename IsIt>
bool any_interface(IsIt is_it) {
  ifaddrs *first = nullptr;
  if (getifaddrs(&first) != 0) return false;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(first, freeifaddrs);
  for (const ifaddrs *each = first; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr != nullptr && is_it(*each->ifa_addr)) return true;
  }
  return false;
}

// Asked at each request: addresses come and go.
bool is_of_this_machine(const in_addr &address) {
  constexpr std::uint32_t kLoopback = 127;  // 127.0.0.0/8
  if (ntohl(address.s_addr) >> 24U == kLoopback) return true;
  return any_interface([&](const sockaddr &own) {
    return own.sa_family == AF_INET &&
           reinterpret_cast<const sockaddr_in &>(own).sin_addr.s_addr == address.s_addr;
  });
}

bool is_of_this_machine(const in6_addr &address) {
  if (IN6_IS_ADDR_LOOPBACK(&address)) return true;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    in_addr v4{};
    std::memcpy(&v4, &address.s6_addr[12], sizeof v4);
    return is_of_this_machine(v4);
  }
  return any_interface([&](const sockaddr &own) {
    return own.sa_family == AF_INET6 &&
           std::memcmp(&reinterpret_cast<const sockaddr_in6 &>(own).sin6_addr, &address,
                       sizeof address) == 0;
  });
}

}  // namespace

HostNames::HostNames(const std::string &listening, const std::vector<std::string> &others)
    : names_{host_of(listening), "localhost"} {
  if (v6_of(listening)) names_.insert(listening);  // options write it without brackets
  for (const std::string &name : others) {
    if (name == "*") {
      any_ = true;
      continue;
    }
    const std::string host = v6_of(name) ? name : host_of(name);
    if (host.empty() || host.find_first_of("/*, ") != host.npos) {
      throw Error(fmt::format(
          "\"{}\" is no name of a host: as a browser's address line has it after http://, "
          "for example llm.example.com, or * for any",
          name));
    }
    names_.insert(host);
  }
  names_.erase("");
}

bool HostNames::contains(std::string_view header) const {
  if (any_) return true;
  const std::string host = host_of(header);
  if (names_.contains(host)) return true;
  if (const auto v4 = v4_of(host)) return is_of_this_machine(*v4);
  if (const auto v6 = v6_of(host)) return is_of_this_machine(*v6);
  return false;
}

}  // namespace vase::server
