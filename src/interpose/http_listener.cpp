#include "interpose/http_listener.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>

#include "vase/llama.hpp"

namespace vase::interpose {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kLongestHead = 16384;  // bytes
constexpr std::chrono::seconds kPatience{5};

bool wait_for(int socket, short event, Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  pollfd one{.fd = socket, .events = event, .revents = 0};
  return left.count() > 0 && poll(&one, 1, static_cast<int>(left.count())) == 1;
}

// The request's lines to the empty one; what there is if it does not end in time.
std::string read_head(int socket, Clock::time_point until) {
  std::string head;
  std::array<char, 4096> buffer{};
  while (head.find("\r\n\r\n") == std::string::npos && head.size() < kLongestHead) {
    if (!wait_for(socket, POLLIN, until)) break;
    const ssize_t n = recv(socket, buffer.data(), buffer.size(), 0);
    if (n <= 0) break;
    head.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return head;
}

void send_all(int socket, std::string_view text, Clock::time_point until) {
  while (!text.empty() && wait_for(socket, POLLOUT, until)) {
    const ssize_t n = send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

const char *reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    default:
      return "Internal Server Error";
  }
}

Reply reply_to(std::string_view head, const Answer &answer) {
  const std::size_t method = head.find(' ');
  const std::size_t target = head.find(' ', method + 1);
  if (method == head.npos || target == head.npos || head.find("\r\n\r\n") == head.npos)
    return {.status = 400, .body = "no HTTP request\n"};
  const std::string_view name = head.substr(0, method);
  if (name != "GET" && name != "HEAD")
    return {.status = 405, .body = "only GET is answered here\n"};
  return answer(std::string(head.substr(method + 1, target - method - 1)));
}

void serve(int socket, const Answer &answer) {
  const Clock::time_point until = Clock::now() + kPatience;
  const std::string head = read_head(socket, until);
  const Reply reply = reply_to(head, answer);
  std::string text = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
      reply.status, reason(reply.status), reply.type, reply.body.size());
  if (!head.starts_with("HEAD ")) text += reply.body;
  send_all(socket, text, until);
  shutdown(socket, SHUT_WR);
}

}  // namespace

int listen_at(const std::string &host, std::uint16_t port) {
  const auto fail = [&](int listener, const char *why) {
    if (listener >= 0) close(listener);
    return Error(fmt::format("cannot listen at {}:{}: {}", host, port, why));
  };
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
    throw fail(-1, "that is no IPv4 address (127.0.0.1: this machine, 0.0.0.0: all)");
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) throw fail(listener, std::strerror(errno));
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listener, reinterpret_cast<const sockaddr *>(&address), sizeof(address)) != 0 ||
      listen(listener, 16) != 0)
    throw fail(listener, std::strerror(errno));
  return listener;
}

void answer_forever(int listener, Answer answer) {
  sigset_t all{}, before{};
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // a thread begins with its maker's
  std::thread([listener, answer = std::move(answer)] {
    for (;;) {
      const int socket = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) {
        // Out of files, say: others of the program may be closed by then.
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        continue;
      }
      serve(socket, answer);
      close(socket);
    }
  }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace vase::interpose
