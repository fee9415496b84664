// A helper program that is asked in lines and answers in lines, or reads all of its input at once.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace vase::eval {

class ChildProcess {
 public:
  /// Starts `command` (found on PATH); its stderr is ours. Throws Error if it cannot be started.
  explicit ChildProcess(const std::vector<std::string> &command);
  /// Closes the child's input and waits for it to end.
  ~ChildProcess();
  ChildProcess(const ChildProcess &) = delete;
  ChildProcess &operator=(const ChildProcess &) = delete;

  /// False if the child does not read any more.
  bool write(std::string_view text);
  /// A line without its newline; false if the child has ended, or says nothing for that long.
  bool read_line(std::string &line,
                 std::chrono::milliseconds patience = std::chrono::milliseconds::max());
  /// Tells the child that there is no more to read.
  void close_input();
  /// Ends the child, and what it started, at once.
  void kill();
  /// Closes the child's input and waits. Returns the exit code, 128 + n after signal n.
  int finish();

 private:
  pid_t pid_ = -1;
  int to_child_ = -1;
  int from_child_ = -1;
  std::string unread_;
};

/// The Python to run scripts with: $VASE_PYTHON, else python3.
std::string python_program();

}  // namespace vase::eval
