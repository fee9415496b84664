// One line at the bottom of the terminal that changes while text scrolls above it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace vase::cli {

/// Draws on stderr if that is a terminal, else does nothing. If the text goes to the same terminal,
/// the line sits in the terminal's last row, outside the scrolling region; if not, it is simply
/// rewritten in place.
class StatusLine {
 public:
  StatusLine();
  ~StatusLine();
  StatusLine(const StatusLine &) = delete;
  StatusLine &operator=(const StatusLine &) = delete;

  /// True if a call of show() would draw: the line is on a terminal and was not drawn just now.
  bool due() const;
  void show(std::string_view text);
  /// Removes the line and gives the terminal back.
  void clear();

  /// Gives the whole terminal back to scrolling. Nothing but write(2), for signal handlers.
  static void restore_terminal_in_signal_handler();

 private:
  using Clock = std::chrono::steady_clock;

  void reserve_row(int rows);

  bool active_;       // stderr is a terminal that understands escapes
  bool shares_text_;  // so is stdout
  int reserved_ = 0;  // rows of the terminal when its last row was reserved; 0: it is not
  bool drawn_ = false;
  Clock::time_point last_{};
};

}  // namespace vase::cli
