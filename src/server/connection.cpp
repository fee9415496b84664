#include "server/connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vase::server {
namespace {

thread_local Connection *current_connection = nullptr;

template <typename GetName>
void name_of(socket_t socket, GetName get_name, std::string &ip, int &port) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (get_name(socket, reinterpret_cast<sockaddr *>(&address), &length) != 0) return;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto *v4 = reinterpret_cast<const sockaddr_in *>(&address);
    inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    port = ntohs(v4->sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto *v6 = reinterpret_cast<const sockaddr_in6 *>(&address);
    inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    port = ntohs(v6->sin6_port);
  }
  ip = text.data();
}

}  // namespace

Connection::Connection(socket_t socket, std::chrono::milliseconds patience)
    : socket_(socket), patience_(patience) {
  current_connection = this;
}

Connection::~Connection() {
  current_connection = nullptr;
  shutdown(socket_, SHUT_WR);
  if (closing_) drain();
  close(socket_);
}

Connection *Connection::current() { return current_connection; }

// A socket that is closed with bytes unread resets the connection, and the client may lose the
// response. So what still comes of a refused request is read, within reason, and thrown away.
void Connection::drain() const {
  constexpr size_t kMost = size_t{16} << 20U;
  constexpr std::chrono::milliseconds kLongest{1000};
  const auto end = std::chrono::steady_clock::now() + kLongest;
  std::array<char, 65536> unread{};
  for (size_t total = 0; total < kMost && std::chrono::steady_clock::now() < end;) {
    if (!wait_for(POLLIN, std::chrono::milliseconds(200))) return;
    const ssize_t n = recv(socket_, unread.data(), unread.size(), 0);
    if (n <= 0) return;
    total += static_cast<size_t>(n);
  }
}

bool Connection::wait_for(short events, std::chrono::milliseconds limit) const {
  pollfd poll_socket{socket_, events, 0};
  int ready = 0;
  do {
    ready = poll(&poll_socket, 1, static_cast<int>(limit.count()));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

bool Connection::wait_for_request(std::chrono::milliseconds limit) {
  return begin_ < end_ || wait_for(POLLIN, limit);
}

bool Connection::client_gone() const {
  char byte = 0;
  const ssize_t n = recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

bool Connection::is_readable() const {
  return begin_ < end_ || wait_for(POLLIN, std::chrono::milliseconds(0));
}

bool Connection::wait_readable() const { return begin_ < end_ || wait_for(POLLIN, patience_); }

bool Connection::wait_writable() const { return wait_for(POLLOUT, patience_) && !client_gone(); }

ssize_t Connection::read(char *data, size_t size) {
  if (begin_ == end_) {
    if (!wait_for(POLLIN, patience_)) return -1;
    ssize_t n = 0;
    do {
      n = recv(socket_, buffer_.data(), buffer_.size(), 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) return n;
    begin_ = 0;
    end_ = static_cast<size_t>(n);
  }
  const size_t n = std::min(size, end_ - begin_);
  std::memcpy(data, buffer_.data() + begin_, n);
  begin_ += n;
  return static_cast<ssize_t>(n);
}

ssize_t Connection::write(const char *data, size_t size) {
  if (!wait_for(POLLOUT, patience_)) return -1;
  ssize_t n = 0;
  do {
    n = send(socket_, data, size, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n;
}

void Connection::get_remote_ip_and_port(std::string &ip, int &port) const {
  name_of(socket_, getpeername, ip, port);
}

void Connection::get_local_ip_and_port(std::string &ip, int &port) const {
  name_of(socket_, getsockname, ip, port);
}

}  // namespace vase::server
