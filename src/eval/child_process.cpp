#include "eval/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "vase/llama.hpp"

extern char **environ;

namespace vase::eval {
namespace {

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw Error(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  }
  return ends;
}

void close_end(int &end) {
  if (end >= 0) ::close(end);
  end = -1;
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string> &command) {
  std::array<int, 2> input = make_pipe();
  std::array<int, 2> output = make_pipe();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  // A group of its own: Ctrl-C is for us to act on, and the child is still needed then.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);

  std::vector<char *> arguments;
  for (const std::string &argument : command) {
    arguments.push_back(const_cast<char *>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const int status =
      ::posix_spawnp(&pid_, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close_end(input[0]);
  close_end(output[1]);
  to_child_ = input[1];
  from_child_ = output[0];
  if (status == 0) return;
  pid_ = -1;
  close_end(to_child_);
  close_end(from_child_);
  throw Error(fmt::format("cannot start {}: {}", command[0], std::strerror(status)));
}

ChildProcess::~ChildProcess() { finish(); }

bool ChildProcess::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(to_child_, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

bool ChildProcess::read_line(std::string &line, std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  for (;;) {
    if (const auto end = unread_.find('\n'); end != unread_.npos) {
      line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return true;
    }
    if (patience != std::chrono::milliseconds::max()) {
      const auto spent =
          std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
      const auto left = std::max<std::int64_t>((patience - spent).count(), 0);
      pollfd wanted{.fd = from_child_, .events = POLLIN, .revents = 0};
      const int ready = ::poll(&wanted, 1, static_cast<int>(left));
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) return false;
    }
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(from_child_, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    unread_.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

void ChildProcess::kill() {
  if (pid_ >= 0) ::kill(-pid_, SIGKILL);  // the group, of which it is the first
}

void ChildProcess::close_input() { close_end(to_child_); }

int ChildProcess::finish() {
  close_input();
  int status = 0;
  if (pid_ >= 0) {
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  pid_ = -1;
  close_end(from_child_);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string python_program() {
  const char *python = std::getenv("VASE_PYTHON");
  return python != nullptr && *python != '\0' ? python : "python3";
}

}  // namespace vase::eval
