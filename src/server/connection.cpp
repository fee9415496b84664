#include "server/connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/sockios.h>
#include <sys/ioctl.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vase::server {
namespace {

constexpr std::chrono::milliseconds kGlance{100};

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

Connection::Connection(socket_t socket, const Patience &patience, const std::atomic<bool> &cut)
    : socket_(socket),
      patience_(patience),
      cut_(cut),
      watch_(std::make_shared<ClientWatch>(socket)) {
  // Small, so that what the client takes shows soon, and a client that takes nothing holds little.
  // Linux doubles it.
  const int bytes = 64 * 1024;
  setsockopt(socket_, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  current_connection = this;
}

Connection::~Connection() {
  current_connection = nullptr;
  watch_->end();
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

// In short glances, so that a shutdown does not wait for a client that sends nothing.
bool Connection::wait_to_read() const {
  for (auto waited = std::chrono::milliseconds(0); waited < patience_.read && !cut_;
       waited += kGlance) {
    if (wait_for(POLLIN, kGlance)) return true;
  }
  return false;
}

// Of what was sent; falls when the client reads.
int Connection::bytes_not_taken() const {
  int bytes = 0;
#ifdef __linux__
  ioctl(socket_, SIOCOUTQ, &bytes);
#endif
  return bytes;
}

// A socket is writable again only when a good part of its buffer is free. A client that reads, but
// slowly, is not there yet and is not stalled either: what it has not taken becomes less.
WriteFailure Connection::wait_to_write() const {
  auto progress = std::chrono::steady_clock::now();
  int least = bytes_not_taken();
  while (!cut_) {
    if (wait_for(POLLOUT, kGlance)) return WriteFailure::none;
    if (client_gone()) return WriteFailure::client_gone;
    const auto now = std::chrono::steady_clock::now();
    if (const int left = bytes_not_taken(); left < least) {
      least = left;
      progress = now;
    }
    if (now - progress >= patience_.write) return WriteFailure::client_stalled;
  }
  return WriteFailure::cut;
}

bool Connection::is_readable() const {
  return begin_ < end_ || wait_for(POLLIN, std::chrono::milliseconds(0));
}

bool Connection::wait_readable() const { return begin_ < end_ || wait_to_read(); }

// Whether it is worth trying: write() waits until there is room.
bool Connection::wait_writable() const {
  return write_failure_ == WriteFailure::none && !client_gone();
}

ssize_t Connection::read(char *data, size_t size) {
  if (begin_ == end_) {
    if (!wait_to_read()) return -1;
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

// Never blocks in send(), which would wait for all of `data` and for nothing else.
ssize_t Connection::write(const char *data, size_t size) {
  while (write_failure_ == WriteFailure::none) {
    write_failure_ = wait_to_write();
    if (write_failure_ != WriteFailure::none) break;
    const ssize_t n = send(socket_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) return n;
    if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
      write_failure_ = WriteFailure::client_gone;
    }
  }
  return -1;
}

void Connection::get_remote_ip_and_port(std::string &ip, int &port) const {
  name_of(socket_, getpeername, ip, port);
}

void Connection::get_local_ip_and_port(std::string &ip, int &port) const {
  name_of(socket_, getsockname, ip, port);
}

}  // namespace vase::server
