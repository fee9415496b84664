// Runs the vase program as a user would: arguments, standard input, signals.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace vase::cli::test {

struct Outcome {
  int exit_code = 0;  ///< 128 + n if signal n ended it, as shells count
  std::string out;
  std::string err;
};

struct RunOptions {
  std::string input = {};     ///< of the standard input, a pipe that is closed after it
  bool close_output = false;  ///< after its first bytes, as `head` does
  /// Called once when the first bytes of output have come, for example to send a signal.
  std::function<void(pid_t)> on_output = {};
};

Outcome run_vase(const std::vector<std::string> &arguments, const RunOptions &options = {});

/// Number of lines; a last one without newline counts.
std::size_t count_lines(const std::string &text);

/// A fresh folder for one test's files.
std::string make_temporary_folder();
std::string write_file(const std::string &path, const std::string &content);

}  // namespace vase::cli::test
