// Answers GET requests of a browser or of Prometheus, inside a program that is not ours.
//
// Not cpp-httplib: llama-server brings its own version of it, and one process cannot hold two of a
// C++ library whose names are the same.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace vase::interpose {

struct Reply {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};
/// `target` is a path with its query. Called by one thread at a time; must not throw.
using Answer = std::function<Reply(const std::string &target)>;

/// A socket that listens at `host` (an IPv4 address) and `port`. Throws Error in one line if that
/// cannot be had.
int listen_at(const std::string &host, std::uint16_t port);

/// Answers what comes to `listener` from a thread of its own until the process ends: one request a
/// connection, one connection at a time, of five seconds at most. The thread takes no signals.
void answer_forever(int listener, Answer answer);

}  // namespace vase::interpose
