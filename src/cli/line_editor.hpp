// The line that a user types at a terminal: editing, history, pasted blocks (libedit).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace vase::cli {

/// The file that keeps what was typed in a chat, in the user's state folder
/// ($XDG_STATE_HOME/vase, or ~/.local/state/vase); empty if there is no home.
std::filesystem::path chat_history_file();

class LineEditor {
 public:
  /// Edits on the terminal that is stdin and shows it on stderr, which must be one too. Takes over
  /// the process's character set (LC_CTYPE): UTF-8. `history`: loaded now, and each line is added
  /// to it at once; empty: the history is this editor's alone. A history that cannot be read or
  /// written is not an error: the lines of this editor are still there.
  explicit LineEditor(std::filesystem::path history);
  ~LineEditor();
  LineEditor(const LineEditor &) = delete;
  LineEditor &operator=(const LineEditor &) = delete;

  /// True if the terminal can be edited on: stdin and stderr are terminals.
  static bool possible();

  /// The next message in UTF-8, of any length, without its newline. A pasted block is part of one
  /// message, with its line breaks. nullopt at Ctrl-D on an empty line, at the end of the terminal,
  /// or after a signal: see interrupted().
  std::optional<std::string> read();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vase::cli
