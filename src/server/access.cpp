#include "server/access.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

namespace vase::server {
namespace {

// Takes as long for a wrong key as for the right one.
bool same_text(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |= unsigned{static_cast<unsigned char>(a[i])} ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// The key of "Bearer KEY"; "" if there is none. Schemes are written in any case (RFC 9110).
std::string_view key_of(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size() ||
      !std::ranges::equal(authorization.substr(0, kScheme.size()), kScheme, {}, lower)) {
    return {};
  }
  const auto start = authorization.find_first_not_of(' ', kScheme.size());
  return start == authorization.npos ? std::string_view() : authorization.substr(start);
}

// What goes into an error message of what a client made up.
std::string quotable(std::string text) {
  constexpr std::size_t kLongest = 80;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return text;
}

bool is_list_of_headers(std::string_view text) {
  constexpr std::size_t kLongest = 2048;
  return text.size() <= kLongest && std::ranges::all_of(text, [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == ',' || c == ' ';
         });
}

// Clients have headers of their own (x-stainless-* of the official ones, more in each version). A
// page of an allowed origin may send any: none but these two means anything here.
std::string headers_for(const httplib::Request &request) {
  const std::string asked = request.get_header_value("Access-Control-Request-Headers");
  const std::string known = "Authorization, Content-Type";
  return asked.empty() || !is_list_of_headers(asked) ? known : known + ", " + asked;
}

}  // namespace

Access::Access(AccessOptions options)
    : options_(std::move(options)), names_(options_.host, options_.allowed_hosts) {}

std::optional<ApiError> Access::wrong_host(const httplib::Request &request) const {
  if (!options_.api_keys.empty()) return std::nullopt;
  const auto [first, last] = request.headers.equal_range("Host");
  // A client that sends none is no browser.
  const auto wrong = std::find_if(
      first, last, [&](const auto &header) { return !names_.contains(header.second); });
  if (wrong == last) return std::nullopt;
  return ApiError(403,
                  fmt::format("this server does not know itself as \"{}\": ask it by an address of "
                              "its machine, or start it with --allowed-host NAME or --api-key KEY",
                              quotable(wrong->second)),
                  "invalid_request_error", "", "unknown_host");
}

bool Access::authorized(const httplib::Request &request) const {
  if (options_.api_keys.empty()) return true;
  if (request.path == "/health" || request.path == "/openapi.json") return true;
  // The web page's files hold no secrets; what the page asks for does.
  if (request.path.rfind("/v1/", 0) != 0 && request.path.rfind("/vase/", 0) != 0 &&
      request.path != "/metrics") {
    return true;
  }
  const std::string header = request.get_header_value("Authorization");
  const std::string_view given = key_of(header);
  bool known = false;
  for (const std::string &key : options_.api_keys) known |= same_text(given, key);
  return known && !given.empty();
}

bool Access::is_preflight(const httplib::Request &request) const {
  return request.method == "OPTIONS" && !options_.cors_origin.empty();
}

void Access::add_cors(const httplib::Request &request, httplib::Response &response) const {
  if (options_.cors_origin.empty()) return;
  response.set_header("Vary", "Origin");  // also without it: a cache must not give it to others
  const std::string origin = request.get_header_value("Origin");
  if (options_.cors_origin != "*" && origin != options_.cors_origin) return;
  response.set_header("Access-Control-Allow-Origin", options_.cors_origin);
  response.set_header("Access-Control-Expose-Headers", "Retry-After");
  if (!is_preflight(request)) return;
  constexpr const char *kMaxAge = "7200";  // seconds; the longest that Chromium takes
  response.set_header("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
  response.set_header("Access-Control-Allow-Headers", headers_for(request));
  response.set_header("Access-Control-Max-Age", kMaxAge);
}

}  // namespace vase::server
