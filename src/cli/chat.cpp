#include "cli/chat.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "cli/interrupt.hpp"
#include "cli/report.hpp"
#include "cli/session.hpp"
#include "engine/utf8.hpp"

namespace vase::cli {
namespace {

void say(const std::string &text) { std::fputs(text.c_str(), stderr); }

// The next line of the standard input; nullopt at its end or after Ctrl-C.
std::optional<std::string> read_line() {
  if (isatty(STDIN_FILENO) != 0) say("\n> ");
  char *buffer = nullptr;
  std::size_t capacity = 0;
  const ssize_t length = getline(&buffer, &capacity, stdin);
  std::optional<std::string> line;
  if (length >= 0) line.emplace(buffer, static_cast<std::size_t>(length));
  std::free(buffer);
  if (line && line->ends_with('\n')) line->pop_back();
  return line;
}

class Chat {
 public:
  explicit Chat(const SessionArguments &arguments)
      : session_(arguments), conversation_(session_.conversation()) {}

  void talk() {
    if (isatty(STDIN_FILENO) != 0) {
      say("/exit or Ctrl-D leaves, /clear forgets, /stats counts, Ctrl-C stops an answer\n");
    }
    while (const auto line = read_line()) {
      if (*line == "/exit") break;
      if (!obey(*line)) ask(*line);
    }
    session_.status_line().clear();
    session_.print_summary();
    if (interrupted()) throw Interrupted();
  }

 private:
  // True if the line was a command, or nothing.
  bool obey(const std::string &line) {
    if (line.empty()) return true;
    if (line[0] != '/') return false;
    if (line == "/clear") {
      session_.clear();
      conversation_ = session_.conversation();
    } else if (line == "/stats") {
      say(summary_text(session_.report()));
    } else {
      say(fmt::format("unknown command {} (/exit, /clear, /stats)\n", line));
    }
    return true;
  }

  void ask(const std::string &question) {
    if (engine::find_invalid_utf8(question)) {
      throw Error("a line of the standard input is not valid UTF-8");
    }
    conversation_.answered(session_.answer(conversation_.ask(question)));
    clear_interrupt();  // it stopped the answer, not the conversation
  }

  Session session_;
  engine::Conversation conversation_;
};

}  // namespace

void add_chat_command(CLI::App &app) {
  CLI::App *command =
      app.add_subcommand("chat", "talk with a model, the whole conversation in one bounded cache");
  const auto arguments = std::make_shared<SessionArguments>();
  arguments->add_to(*command);
  command->footer(
      "Each line of the standard input is a turn, also if it is piped in. /clear forgets the\n"
      "conversation, /stats shows the numbers, /exit or Ctrl-D leaves. Ctrl-C stops an answer; "
      "where\n"
      "none is being given, it leaves.");
  command->callback([arguments] {
    install_interrupt_handlers();
    Chat(*arguments).talk();
  });
}

}  // namespace vase::cli
