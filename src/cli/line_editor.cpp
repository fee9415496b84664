#include "cli/line_editor.hpp"

#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

#include "cli/interrupt.hpp"

namespace vase::cli {
namespace {

constexpr int kLinesKept = 1000;  // of the history
constexpr int kPollMs = 200;      // how soon a signal is heard that another thread took
constexpr std::wstring_view kPasteEnd = L"\x1b[201~";
constexpr wchar_t kReplacement = 0xFFFD;

void send(std::string_view escape) {
  std::fwrite(escape.data(), 1, escape.size(), stderr);
  std::fflush(stderr);
}

std::string to_utf8(std::wstring_view text) {
  std::string result;
  for (const wchar_t wide : text) {
    const auto c = static_cast<char32_t>(wide);
    const auto tail = [&](unsigned shift) {
      result += static_cast<char>(0x80U | ((c >> shift) & 0x3FU));
    };
    if (c < 0x80) {
      result += static_cast<char>(c);
    } else if (c < 0x800) {
      result += static_cast<char>(0xC0U | (c >> 6U));
      tail(0);
    } else if (c < 0x10000) {
      result += static_cast<char>(0xE0U | (c >> 12U));
      tail(6);
      tail(0);
    } else {
      result += static_cast<char>(0xF0U | (c >> 18U));
      tail(12);
      tail(6);
      tail(0);
    }
  }
  return result;
}

// The size of the terminal, and whether it gives whole lines, as it does after the shell had it.
struct TerminalMode {
  unsigned short rows = 0, columns = 0;
  bool whole_lines = false;

  static TerminalMode now() {
    winsize size{};
    termios mode{};
    ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
    tcgetattr(STDIN_FILENO, &mode);
    return {size.ws_row, size.ws_col, (mode.c_lflag & ICANON) != 0};
  }
};

// The bytes that the terminal sends. One process has one standard input.
class TerminalBytes {
 public:
  // 1 and the byte; 0 at the end; -1 after a signal. Meanwhile the picture follows the window.
  // Only now does the editor have the terminal: what is typed after this is an edit.
  int next(EditLine *editor, unsigned char &byte) {
    if (!std::exchange(announced_, true)) send("\x1b[?2004h");
    while (begin_ == end_) {
      if (interrupted()) return -1;
      pollfd poll_input{STDIN_FILENO, POLLIN, 0};
      const int ready = poll(&poll_input, 1, kPollMs);
      follow_window(editor);
      if (ready <= 0) continue;
      const ssize_t n = ::read(STDIN_FILENO, bytes_.data(), bytes_.size());
      if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (n <= 0) return 0;
      begin_ = 0;
      end_ = static_cast<std::size_t>(n);
    }
    byte = bytes_[begin_++];
    return 1;
  }
  void put_back() { --begin_; }
  // A line begins.
  void begin_line() {
    mode_ = TerminalMode::now();
    announced_ = false;
  }

 private:
  void follow_window(EditLine *editor) {
    const TerminalMode now = TerminalMode::now();
    if (now.rows != mode_.rows || now.columns != mode_.columns) {
      el_resize(editor);
      el_wset(editor, EL_REFRESH);
    }
    if (now.whole_lines) {  // stopped by Ctrl-Z and back
      el_wset(editor, EL_PREP_TERM, 0);
      el_wset(editor, EL_PREP_TERM, 1);
      send("\x1b[?2004h");
      el_wset(editor, EL_REFRESH);
    }
    mode_ = TerminalMode::now();
  }

  std::array<unsigned char, 4096> bytes_{};
  std::size_t begin_ = 0, end_ = 0;
  TerminalMode mode_;
  bool announced_ = true;  // that pasted blocks are to be marked
};

TerminalBytes &terminal_bytes() {
  static TerminalBytes bytes;
  return bytes;
}

// libedit's own reader would drop what is not a character; here it becomes U+FFFD, to be seen.
int read_character(EditLine *editor, wchar_t *character) {
  unsigned char byte = 0;
  const int status = terminal_bytes().next(editor, byte);
  if (status <= 0) return status;
  const int more = byte < 0x80   ? 0
                   : byte < 0xC2 ? -1
                   : byte < 0xE0 ? 1
                   : byte < 0xF0 ? 2
                   : byte < 0xF5 ? 3
                                 : -1;
  *character = kReplacement;
  if (more < 0 || byte == 0) return 1;
  char32_t c = more == 0 ? byte : byte & (0x3FU >> static_cast<unsigned>(more));
  for (int i = 0; i < more; ++i) {
    const int tail = terminal_bytes().next(editor, byte);
    if (tail <= 0) return tail;
    if ((byte & 0xC0U) != 0x80) {
      terminal_bytes().put_back();
      return 1;
    }
    c = (c << 6U) | (byte & 0x3FU);
  }
  constexpr std::array<char32_t, 4> kLeast = {0, 0x80, 0x800, 0x10000};
  const bool surrogate = c >= 0xD800 && c < 0xE000;
  if (c >= kLeast.at(static_cast<std::size_t>(more)) && c <= 0x10FFFF && !surrogate) {
    *character = static_cast<wchar_t>(c);
  }
  return 1;
}

// Terminals send a pasted block between ESC[200~ and ESC[201~, with CR for the ends of its lines.
unsigned char insert_paste(EditLine *editor, wint_t) {
  std::wstring block;
  for (wchar_t c = 0; !block.ends_with(kPasteEnd);) {
    if (el_wgetc(editor, &c) <= 0) return CC_EOF;
    block += c;
  }
  block.resize(block.size() - kPasteEnd.size());
  std::wstring text;
  for (const wchar_t c : block) {
    const bool second_half = c == L'\n' && !text.empty() && text.back() == L'\r';
    if (second_half) text.pop_back();
    text += c;
  }
  for (wchar_t &c : text)
    if (c == L'\r') c = L'\n';
  while (text.ends_with(L'\n')) text.pop_back();
  if (!text.empty() && el_winsertstr(editor, text.c_str()) != 0) return CC_ERROR;
  return CC_REFRESH;
}

wchar_t *prompt(EditLine *) {
  static std::array<wchar_t, 3> text = {L'>', L' ', L'\0'};
  return text.data();
}

void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

struct EditLineEnd {
  void operator()(EditLine *editor) const { el_end(editor); }
};
struct HistoryEnd {
  void operator()(HistoryW *history) const { history_wend(history); }
};
struct FileEnd {
  void operator()(std::FILE *file) const { std::fclose(file); }
};

}  // namespace

std::filesystem::path chat_history_file() {
  const char *state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/')
    return std::filesystem::path(state) / "vase/chat_history";
  const char *home = std::getenv("HOME");
  if (home == nullptr || home[0] == '\0') return {};
  return std::filesystem::path(home) / ".local/state/vase/chat_history";
}

struct LineEditor::State {
  std::filesystem::path file;
  std::unique_ptr<HistoryW, HistoryEnd> history{history_winit()};
  std::unique_ptr<EditLine, EditLineEnd> editor;

  void load() {
    HistEventW event{};
    history_w(history.get(), &event, H_SETSIZE, kLinesKept);
    history_w(history.get(), &event, H_SETUNIQUE, 1);
    if (file.empty()) return;
    std::error_code ignored;
    std::filesystem::create_directories(file.parent_path(), ignored);
    const int lines = history_w(history.get(), &event, H_LOAD, file.c_str());
    if (lines > 2 * kLinesKept) history_w(history.get(), &event, H_SAVE, file.c_str());
  }

  // Appends, so that two chats at a time do not lose each other's lines.
  void add(const wchar_t *line) {
    HistEventW event{};
    history_w(history.get(), &event, H_ENTER, line);
    if (file.empty()) return;
    const std::unique_ptr<std::FILE, FileEnd> out(std::fopen(file.c_str(), "a"));
    if (!out) return;
    std::fseek(out.get(), 0, SEEK_END);
    // A history of this line alone: H_NSAVE_FP does not write the newest ones.
    const std::unique_ptr<HistoryW, HistoryEnd> newest(history_winit());
    history_w(newest.get(), &event, H_SETSIZE, 1);
    history_w(newest.get(), &event, H_ENTER, line);
    history_w(newest.get(), &event, H_SAVE_FP, out.get());
  }

  void bind(const wchar_t *key, const wchar_t *function) {
    el_wset(editor.get(), EL_BIND, key, function, nullptr);
  }
};

bool LineEditor::possible() { return isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0; }

LineEditor::LineEditor(std::filesystem::path history) : state_(std::make_unique<State>()) {
  use_utf8();
  State &s = *state_;
  s.file = std::move(history);
  s.load();
  s.editor.reset(el_init("vase", stdin, stderr, stderr));
  EditLine *editor = s.editor.get();
  el_wset(editor, EL_EDITOR, L"emacs");
  el_wset(editor, EL_SIGNAL, 0);  // ours
  el_wset(editor, EL_PROMPT, prompt);
  el_wset(editor, EL_HIST, history_w, s.history.get());
  el_wset(editor, EL_GETCFN, read_character);
  el_wset(editor, EL_ADDFN, L"vase-paste", L"Insert a pasted block", insert_paste);
  s.bind(L"\\e[200~", L"vase-paste");
  s.bind(L"\\e[3~", L"ed-delete-next-char");
  s.bind(L"\\e[1~", L"ed-move-to-beg");
  s.bind(L"\\e[4~", L"ed-move-to-end");
  s.bind(L"\\e[1;5C", L"em-next-word");
  s.bind(L"\\e[1;5D", L"ed-prev-word");
  s.bind(L"^R", L"em-inc-search-prev");
  s.bind(L"^W", L"ed-delete-prev-word");
  s.bind(L"^I", L"ed-insert");
  el_source(editor, nullptr);  // the user's ~/.editrc
}

LineEditor::~LineEditor() = default;

std::optional<std::string> LineEditor::read() {
  State &s = *state_;
  el_resize(s.editor.get());
  terminal_bytes().begin_line();
  send("\n");
  int length = 0;
  const wchar_t *line = el_wgets(s.editor.get(), &length);
  send("\x1b[?2004l");
  if (line == nullptr || length <= 0) {
    send("\n");
    return std::nullopt;
  }
  std::wstring_view text(line, static_cast<std::size_t>(length));
  if (text.ends_with(L'\n')) text.remove_suffix(1);
  std::string message = to_utf8(text);
  if (!text.empty()) s.add(std::wstring(text).c_str());
  return message;
}

}  // namespace vase::cli
