#include "cli/chat.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "cli/interrupt.hpp"
#include "cli/line_editor.hpp"
#include "cli/report.hpp"
#include "cli/session.hpp"
#include "engine/utf8.hpp"

namespace vase::cli {
namespace {

void say(const std::string &text) { std::fputs(text.c_str(), stderr); }

// The next line of a pipe, or of a terminal that cannot be edited on; nullopt at its end or after a
// signal.
std::optional<std::string> read_plain_line() {
  if (isatty(STDIN_FILENO) != 0) say("\n> ");
  char *buffer = nullptr;
  std::size_t capacity = 0;
  const ssize_t length = getline(&buffer, &capacity, stdin);
  std::optional<std::string> line;
  if (length >= 0) line.emplace(buffer, static_cast<std::size_t>(length));
  std::free(buffer);
  if (line && line->ends_with('\n')) line->pop_back();
  if (line && line->ends_with('\r')) line->pop_back();  // the line ended as Windows ends lines
  return line;
}

class Chat {
 public:
  Chat(const SessionArguments &arguments, bool keep_history)
      : session_(arguments), conversation_(session_.conversation()) {
    if (LineEditor::possible()) {
      editor_.emplace(keep_history ? chat_history_file() : std::filesystem::path());
    }
  }

  void talk() {
    if (isatty(STDIN_FILENO) != 0) {
      say("/exit or Ctrl-D leaves, /clear forgets, /stats counts, Ctrl-C stops an answer\n");
    }
    while (!terminated()) {
      const auto line = editor_ ? editor_->read() : read_plain_line();
      if (!line || is_command(*line, "/exit")) break;
      if (!obey(*line)) ask(line->starts_with("//") ? line->substr(1) : *line);
    }
    session_.status_line().clear();
    session_.print_summary();
    if (interrupted()) throw Interrupted();
    // Someone at a terminal has read it; a script looks at the exit code.
    if (failed_ && isatty(STDIN_FILENO) == 0) throw CLI::RuntimeError(1);
  }

 private:
  static bool is_command(const std::string &line, std::string_view command) {
    return line.substr(0, line.find_last_not_of(" \t") + 1) == command;
  }

  // True if the line was a command, or nothing.
  bool obey(const std::string &line) {
    if (line.empty()) return true;
    if (line[0] != '/' || line.starts_with("//")) return false;
    if (is_command(line, "/clear")) {
      session_.clear();
      conversation_ = session_.conversation();
    } else if (is_command(line, "/stats")) {
      say(summary_text(session_.report()));
    } else {
      say(
          fmt::format("unknown command {} (/exit, /clear, /stats); to send text that begins with a "
                      "slash, begin with two\n",
                      line.substr(0, line.find_first_of(" \t\n"))));
    }
    return true;
  }

  // Whatever goes wrong is this turn's: the conversation is as it was before it, or, if the model
  // has read a part of the question already, goes on behind that part.
  void ask(const std::string &question) {
    try {
      check(question);
      const Turn turn = session_.answer(conversation_.ask(question));
      if (turn.prompt == engine::PromptRead::all) {
        session_.forget_thought(turn);
        conversation_.answered();
      } else if (turn.prompt == engine::PromptRead::part) {
        conversation_.cut_off();
      } else {
        conversation_.take_back();
      }
      if (!turn.error.empty()) fail(turn.error);
      if (turn.finish == engine::Finish::cache_full) {
        fail(
            "the cache is full: /clear forgets the conversation; a larger -c, or a policy that "
            "evicts, lets it go on");
      }
      if (turn.finish == engine::Finish::no_positions) {
        fail("the model has learned no position beyond: /clear begins a new conversation");
      }
      if (interrupted() && turn.prompt != engine::PromptRead::all) say_not_read(turn.prompt);
    } catch (const Error &error) {
      fail(error.what());
    }
    clear_interrupt();  // it stopped the answer, not the conversation
  }

  static void check(const std::string &question) {
    if (const auto at = engine::find_invalid_utf8(question)) {
      throw Error(fmt::format("the message is not valid UTF-8 (byte 0x{:02x} at offset {})",
                              static_cast<unsigned char>(question[*at]), *at));
    }
  }

  void say_not_read(engine::PromptRead read) {
    session_.status_line().clear();
    say(read == engine::PromptRead::none
            ? "stopped before the message was read: it is not part of the conversation\n"
            : "stopped before the message was read: only its beginning is part of the "
              "conversation\n");
  }

  void fail(const std::string &why) {
    failed_ = true;
    session_.status_line().clear();
    say(fmt::format("vase: {}\n", why));
  }

  Session session_;
  engine::Conversation conversation_;
  std::optional<LineEditor> editor_;  // nothing if the standard input is no terminal
  bool failed_ = false;
};

}  // namespace

void add_chat_command(CLI::App &app) {
  CLI::App *command =
      app.add_subcommand("chat", "talk with a model, the whole conversation in one bounded cache");
  const auto arguments = std::make_shared<SessionArguments>();
  arguments->add_to(*command);
  const auto no_history = std::make_shared<bool>(false);
  command->add_flag("--no-history", *no_history,
                    "do not keep what is typed for the next chat, nor offer what was typed before");
  const auto preserve = std::make_shared<bool>(false);
  command->add_flag(
      "--reasoning-preserve", *preserve,
      "keep the thoughts of earlier turns in the cache; without it the next turn goes "
      "on from what was said behind them");
  command->footer(
      "Each line of the standard input is a turn, also if it is piped in; a block pasted at a\n"
      "terminal is one. /clear forgets the conversation, /stats shows the numbers, /exit or "
      "Ctrl-D\n"
      "leaves; //text sends /text. Ctrl-C stops an answer, or the reading of the message; where "
      "neither\n"
      "goes on, it leaves. What is typed is kept in $XDG_STATE_HOME/vase/chat_history\n"
      "(~/.local/state/vase/chat_history).");
  command->callback([arguments, no_history, preserve] {
    arguments->drops_thoughts = !*preserve;
    install_interrupt_handlers();
    Chat(*arguments, !*no_history).talk();
  });
}

}  // namespace vase::cli
