#include "server/http_server.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "server/connection.hpp"
#include "server/worker_threads.hpp"
#include "vase/llama.hpp"

namespace vase::server {
namespace {

constexpr std::chrono::seconds kKeepAlive{5};  // an idle connection holds a thread
constexpr std::chrono::milliseconds kGlance{100};
constexpr int kBacklog = 512;  // httplib's 5 makes clients of a burst wait for a second

}  // namespace

HttpServer::HttpServer(std::size_t n_threads, const Patience &patience) : patience_(patience) {
  new_task_queue = [n_threads] { return new WorkerThreads(n_threads); };
  set_tcp_nodelay(true);  // tokens are small and are wanted now
  // Two servers on one port would take each other's clients: httplib's default allows that.
  set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
}

int HttpServer::bind(const std::string &host, int port) {
  errno = 0;
  const int bound = port == 0 ? bind_to_any_port(host) : (bind_to_port(host, port) ? port : -1);
  if (bound < 0 || ::listen(svr_sock_, kBacklog) != 0) {
    throw Error(fmt::format("cannot listen on {}:{}{}{}", host, port, errno == 0 ? "" : ": ",
                            errno == 0 ? "" : std::strerror(errno)));
  }
  return bound;
}

// httplib since 0.18 wants to be told both ends of the connection; before that it asks the stream.
// A template, because only in one the compiler may try which of the two it is.
template <typename Stream>
bool HttpServer::answer(Stream &connection, bool &closed) {
  const bool last = svr_sock_ == INVALID_SOCKET;
  if constexpr (requires { this->process_request(connection, last, closed, nullptr); }) {
    return this->process_request(connection, last, closed, nullptr);
  } else {
    std::string remote;
    std::string local;
    int remote_port = 0;
    int local_port = 0;
    connection.get_remote_ip_and_port(remote, remote_port);
    connection.get_local_ip_and_port(local, local_port);
    return this->process_request(connection, remote, remote_port, local, local_port, last, closed,
                                 nullptr);
  }
}

bool HttpServer::process_and_close_socket(socket_t socket) {
  Connection connection(socket, patience_, cut_);
  const auto next_request = [&] {
    // In short glances, so that a shutdown does not wait for idle clients.
    for (auto waited = kGlance; waited <= kKeepAlive && svr_sock_ != INVALID_SOCKET;
         waited += kGlance) {
      if (connection.wait_for_request(kGlance))
        return !connection.client_gone() || connection.is_readable();
    }
    return false;
  };
  bool ok = true;
  while (ok && !connection.closing() && next_request()) {
    bool closed = false;
    ok = answer(connection, closed) && !closed;
  }
  return ok;
}

}  // namespace vase::server
