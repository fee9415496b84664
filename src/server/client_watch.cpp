#include "server/client_watch.hpp"

#include <sys/socket.h>

#include <cerrno>

namespace vase::server {

bool ClientWatch::gone() const {
  const std::lock_guard lock(mutex_);
  if (socket_ == kEnded) return true;
  char byte = 0;
  const auto n = recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void ClientWatch::end() {
  const std::lock_guard lock(mutex_);
  socket_ = kEnded;
}

}  // namespace vase::server
