#include "process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace vase::cli::test {
namespace {

struct Pipe {
  int read_end = -1;
  int write_end = -1;

  Pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    read_end = ends[0];
    write_end = ends[1];
  }
};

void close_end(int &end) {
  if (end >= 0) close(end);
  end = -1;
}

[[noreturn]] void become_vase(const std::vector<std::string> &arguments, const Pipe &in,
                              const Pipe &out, const Pipe &err) {
  dup2(in.read_end, STDIN_FILENO);
  dup2(out.write_end, STDOUT_FILENO);
  dup2(err.write_end, STDERR_FILENO);
  std::vector<char *> argv = {const_cast<char *>("vase")};
  for (const std::string &argument : arguments)
    argv.push_back(const_cast<char *>(argument.c_str()));
  argv.push_back(nullptr);
  execv(VASE_PROGRAM, argv.data());
  _exit(127);
}

// Appends what can be read; false at the end.
bool read_some(int fd, std::string &text) {
  std::array<char, 4096> buffer{};
  const ssize_t n = read(fd, buffer.data(), buffer.size());
  if (n > 0) text.append(buffer.data(), static_cast<std::size_t>(n));
  return n > 0;
}

void collect(pid_t child, Pipe &out, Pipe &err, const RunOptions &options, Outcome &outcome) {
  bool first = true;
  while (out.read_end >= 0 || err.read_end >= 0) {
    std::array<pollfd, 2> fds = {pollfd{out.read_end, POLLIN, 0}, pollfd{err.read_end, POLLIN, 0}};
    poll(fds.data(), fds.size(), -1);
    if (fds[1].revents != 0 && !read_some(err.read_end, outcome.err)) close_end(err.read_end);
    if (fds[0].revents == 0) continue;
    if (!read_some(out.read_end, outcome.out)) {
      close_end(out.read_end);
    } else if (std::exchange(first, false)) {
      if (options.on_output) options.on_output(child);
      if (options.close_output) close_end(out.read_end);
    }
  }
}

}  // namespace

Outcome run_vase(const std::vector<std::string> &arguments, const RunOptions &options) {
  signal(SIGPIPE, SIG_IGN);
  Pipe in;
  Pipe out;
  Pipe err;
  const pid_t child = fork();
  if (child == 0) become_vase(arguments, in, out, err);
  close_end(in.read_end);
  close_end(out.write_end);
  close_end(err.write_end);
  // Short enough for the pipe's buffer; the program may have ended without reading it.
  [[maybe_unused]] const auto written =
      write(in.write_end, options.input.data(), options.input.size());
  close_end(in.write_end);

  Outcome outcome;
  collect(child, out, err, options, outcome);
  int status = 0;
  waitpid(child, &status, 0);
  outcome.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return outcome;
}

std::size_t count_lines(const std::string &text) {
  const auto newlines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  return newlines + (text.empty() || text.ends_with('\n') ? 0 : 1);
}

std::string make_temporary_folder() {
  std::string name = "/tmp/vase-cli-test-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  return name;
}

std::string write_file(const std::string &path, const std::string &content) {
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

}  // namespace vase::cli::test
