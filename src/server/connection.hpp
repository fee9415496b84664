// A client's TCP connection, as httplib reads and writes it.
//
// httplib's own stream does not say which socket a request came on, and without that nobody can
// notice that a client went away while the engine works for it.
#pragma once

#include <httplib.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "server/client_watch.hpp"

namespace vase::server {

/// How long a connection waits for its client.
struct Patience {
  std::chrono::milliseconds read{30000};   ///< for the next bytes of a request
  std::chrono::milliseconds write{30000};  ///< for the client to take any of what was sent
};

/// Why nothing more can be sent.
enum class WriteFailure {
  none,
  client_gone,
  client_stalled,  ///< it took nothing for longer than the connection waits
  cut,             ///< the server ended the connection
};

class Connection final : public httplib::Stream {
 public:
  /// Takes the socket over. Once `cut` is true nothing is waited for any more; it must outlive
  /// this.
  Connection(socket_t socket, const Patience &patience, const std::atomic<bool> &cut);
  ~Connection() override;
  Connection(const Connection &) = delete;
  Connection &operator=(const Connection &) = delete;

  /// The connection whose request this thread is handling; nullptr outside of handlers.
  static Connection *current();

  /// Waits for the first byte of another request.
  bool wait_for_request(std::chrono::milliseconds limit);
  /// True if the client has closed its end.
  bool client_gone() const { return watch_->gone(); }
  /// The same for other threads, also when this connection is no more.
  std::shared_ptr<const ClientWatch> watch() const { return watch_; }
  WriteFailure write_failure() const { return write_failure_; }
  /// Says that the body of the request was not read, so that nothing can follow it.
  void close_after_response() { closing_ = true; }
  bool closing() const { return closing_; }

  bool is_readable() const override;
  ssize_t read(char *data, size_t size) override;
  ssize_t write(const char *data, size_t size) override;
  void get_remote_ip_and_port(std::string &ip, int &port) const override;
  void get_local_ip_and_port(std::string &ip, int &port) const override;
  socket_t socket() const override { return socket_; }

  // Which of these httplib's streams have depends on its version: the first until 0.18, the others
  // since then. They override what is there.
#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Winconsistent-missing-override"
#endif
  // NOLINTBEGIN(modernize-use-override)
  bool is_writable() const { return wait_writable(); }
  bool wait_readable() const;
  bool wait_writable() const;
  time_t duration() const { return 0; }  // limits what a client may take in all; no use here
  // NOLINTEND(modernize-use-override)
#ifdef __clang__
#pragma clang diagnostic pop
#endif

 private:
  bool wait_for(short events, std::chrono::milliseconds limit) const;
  bool wait_to_read() const;
  WriteFailure wait_to_write() const;
  int bytes_not_taken() const;
  void drain() const;

  socket_t socket_;
  Patience patience_;
  const std::atomic<bool> &cut_;
  std::shared_ptr<ClientWatch> watch_;
  WriteFailure write_failure_ = WriteFailure::none;
  bool closing_ = false;
  // httplib reads headers byte by byte.
  std::array<char, 8192> buffer_{};
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace vase::server
