// httplib's server on our own connections.
#pragma once

#include <httplib.h>

#include <atomic>
#include <cstddef>
#include <string>

#include "server/connection.hpp"

namespace vase::server {

class HttpServer final : public httplib::Server {
 public:
  /// `n_threads`: connections that are served at the same time.
  HttpServer(std::size_t n_threads, const Patience &patience);

  /// Binds and listens. Throws Error, saying why not. Port 0 takes a free one. Returns the port.
  int bind(const std::string &host, int port);

  /// Waits for no client any more: what is being read or written ends where it is. Before stop(),
  /// which waits for all connections.
  void cut() { cut_ = true; }

 private:
  bool process_and_close_socket(socket_t socket) override;
  template <typename Stream>
  bool answer(Stream &connection, bool &closed);

  Patience patience_;
  std::atomic<bool> cut_ = false;
};

}  // namespace vase::server
