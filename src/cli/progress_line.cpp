#include "cli/progress_line.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace vase::cli {

ProgressLine::ProgressLine(std::string command)
    : command_(std::move(command)), terminal_(isatty(STDERR_FILENO) != 0) {}

bool ProgressLine::due() const {
  return terminal_ ? status_.due() : Clock::now() - last_ >= std::chrono::minutes(1);
}

void ProgressLine::show(const std::string &text) {
  if (terminal_) {
    status_.show(text);
    return;
  }
  last_ = Clock::now();
  fmt::print(stderr, "{}:{}\n", command_, text);
}

std::string progress_bar(std::size_t done, std::size_t total) {
  constexpr std::size_t kWidth = 20;
  const std::size_t filled = total == 0 ? 0 : kWidth * done / total;
  return fmt::format("[{}{}]", std::string(filled, '#'), std::string(kWidth - filled, '.'));
}

}  // namespace vase::cli
