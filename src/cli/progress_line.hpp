// How far a long run is: a status line on a terminal; else a line a minute, so that a log shows
// that it goes on.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "cli/status_line.hpp"

namespace vase::cli {

class ProgressLine {
 public:
  /// `command`: what begins a line of the log: "vase eval".
  explicit ProgressLine(std::string command);

  /// True if show() would print.
  bool due() const;
  void show(const std::string &text);
  /// Removes the line and gives the terminal back.
  void clear() { status_.clear(); }

 private:
  using Clock = std::chrono::steady_clock;

  std::string command_;
  StatusLine status_;
  bool terminal_;
  Clock::time_point last_ = Clock::now();
};

/// "[####................]", so much of it filled as is done.
std::string progress_bar(std::size_t done, std::size_t total);

}  // namespace vase::cli
