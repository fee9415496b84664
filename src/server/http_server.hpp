// httplib's server on our own connections.
#pragma once

#include <httplib.h>

#include <chrono>
#include <cstddef>

namespace vase::server {

class HttpServer final : public httplib::Server {
 public:
  /// `n_threads`: connections that are served at the same time.
  explicit HttpServer(std::size_t n_threads);

  /// Binds and listens. Throws Error, saying why not. Port 0 takes a free one. Returns the port.
  int bind(const std::string &host, int port);

 private:
  bool process_and_close_socket(socket_t socket) override;
  template <typename Stream>
  bool answer(Stream &connection, bool &closed);
};

}  // namespace vase::server
