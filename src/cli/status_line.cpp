#include "cli/status_line.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace vase::cli {
namespace {

constexpr std::chrono::milliseconds kInterval(100);

// Terminal escapes: save and restore the cursor, erase a line, end the scrolling region.
constexpr std::string_view kSave =
    "\x1b"
    "7";
constexpr std::string_view kRestore =
    "\x1b"
    "8";
constexpr std::string_view kEraseLine = "\x1b[2K";

std::atomic<bool> row_is_reserved{false};

bool is_capable_terminal(int fd) {
  const char *term = std::getenv("TERM");
  return isatty(fd) != 0 && term != nullptr && std::string_view(term) != "dumb";
}

winsize terminal_size() {
  winsize size{};
  ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
  return size;
}

// Cuts at the right edge, so that the line never wraps. The text is ASCII.
std::string_view fit(std::string_view text, unsigned columns) {
  return columns == 0 ? text : text.substr(0, columns - 1);
}

void draw(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

StatusLine::StatusLine()
    : active_(is_capable_terminal(STDERR_FILENO)), shares_text_(isatty(STDOUT_FILENO) != 0) {}

StatusLine::~StatusLine() { clear(); }

bool StatusLine::due() const { return active_ && (!drawn_ || Clock::now() - last_ >= kInterval); }

void StatusLine::show(std::string_view text) {
  if (!active_) return;
  last_ = Clock::now();
  drawn_ = true;
  const winsize size = terminal_size();
  const std::string_view visible = fit(text, size.ws_col);
  if (!shares_text_) {
    draw(fmt::format("\r{}{}", kEraseLine, visible));
    return;
  }
  if (size.ws_row < 3) return;  // no room for it
  std::fflush(stdout);          // or the text would appear where the cursor is saved
  if (reserved_ != size.ws_row) reserve_row(size.ws_row);
  draw(fmt::format("{}\x1b[{};1H{}\x1b[7m{}\x1b[0m{}", kSave, size.ws_row, kEraseLine, visible,
                   kRestore));
}

void StatusLine::reserve_row(int rows) {
  // The newline scrolls if the cursor is in the last row; setting the region moves the cursor.
  draw(fmt::format("\n\x1b[1A{}\x1b[1;{}r{}", kSave, rows - 1, kRestore));
  reserved_ = rows;
  row_is_reserved = true;
}

void StatusLine::clear() {
  if (!drawn_) return;
  drawn_ = false;
  if (!shares_text_) return draw(fmt::format("\r{}", kEraseLine));
  if (reserved_ == 0) return;
  std::fflush(stdout);
  draw(fmt::format("{}\x1b[r\x1b[{};1H{}{}", kSave, reserved_, kEraseLine, kRestore));
  reserved_ = 0;
  row_is_reserved = false;
}

void StatusLine::restore_terminal_in_signal_handler() {
  if (!row_is_reserved) return;
  constexpr std::string_view kEndRegion = "\x1b[r\x1b[999;1H\x1b[2K";
  [[maybe_unused]] const auto written =
      ::write(STDERR_FILENO, kEndRegion.data(), kEndRegion.size());
}

}  // namespace vase::cli
