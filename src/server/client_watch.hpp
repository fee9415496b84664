// Whether the client of a request is still there, for threads that may outlive its connection.
#pragma once

#include <mutex>

namespace vase::server {

/// Shared between a connection and those who work for its client.
class ClientWatch {
 public:
  /// `socket` stays the connection's.
  explicit ClientWatch(int socket) : socket_(socket) {}

  /// True if the client has closed its end, or if the connection is no more. For any thread.
  bool gone() const;
  /// Called before the socket is closed; its number may be another connection's after that.
  void end();

 private:
  static constexpr int kEnded = -1;
  mutable std::mutex mutex_;
  int socket_;
};

}  // namespace vase::server
