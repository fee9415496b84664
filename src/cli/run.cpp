#include "cli/run.hpp"

#include <memory>
#include <optional>
#include <string>

#include "cli/interrupt.hpp"
#include "cli/prompt.hpp"
#include "cli/rows_file.hpp"
#include "cli/session.hpp"

namespace vase::cli {
namespace {

struct RunArguments {
  SessionArguments session;
  std::optional<std::string> prompt;
  std::optional<std::string> file;
  std::string rows;  // file for the rows that were kept; empty: none
  bool chat = false;
};

void check_rows_option(const RunArguments &arguments) {
  if (arguments.rows.empty()) return;
  if (!arguments.session.policy.evicts()) {
    throw Error("--rows is for policies that evict: full keeps every token in every head");
  }
  check_rows_file(arguments.rows);
}

void run(const RunArguments &arguments) {
  if (arguments.prompt && arguments.file) throw CLI::ExcludesError("--file", "--prompt");
  std::string prompt = read_prompt(arguments.prompt, arguments.file);
  check_rows_option(arguments);
  install_interrupt_handlers();
  Session session(arguments.session);
  if (arguments.chat) prompt = session.conversation().ask(prompt);
  const Turn turn = session.answer(prompt);
  session.status_line().clear();
  if (!turn.error.empty()) throw Error(turn.error);
  if (!arguments.rows.empty()) write_rows_file(arguments.rows, session.rows());
  session.print_summary();
  if (interrupted()) throw Interrupted();
}

}  // namespace

void add_run_command(CLI::App &app) {
  CLI::App *command = app.add_subcommand("run", "complete a prompt, streaming the text");
  const auto arguments = std::make_shared<RunArguments>();
  command->add_option("-p,--prompt", arguments->prompt, "the prompt");
  command->add_option("-f,--file", arguments->file,
                      "a file that holds the prompt; -: standard input");
  command->add_flag("--chat", arguments->chat,
                    "ask the prompt as a question, in the model's chat template; without it the "
                    "prompt is a text to continue");
  command->add_flag("--ignore-eos", arguments->session.sampling.options.ignore_eog,
                    "do not let the model end the text");
  command->add_option("--rows", arguments->rows,
                      "at the end write to this file which tokens each head still has (JSON Lines: "
                      "the tokens, then a line for each layer)");
  command->add_flag("--summary", arguments->session.summary,
                    "print the summary even if stderr is no terminal");
  arguments->session.add_to(*command);
  command->footer(
      "Only the generated text goes to the standard output. The status line and the summary\n"
      "appear if stderr is a terminal (the summary also with --summary or -v). Ctrl-C stops; the\n"
      "exit code is 130 then.");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace vase::cli
