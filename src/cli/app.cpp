#include "cli/app.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <new>
#include <string_view>

#include "cli/bench.hpp"
#include "cli/calibrate.hpp"
#include "cli/chat.hpp"
#include "cli/eval.hpp"
#include "cli/exec.hpp"
#include "cli/fidelity.hpp"
#include "cli/inspect.hpp"
#include "cli/interrupt.hpp"
#include "cli/models.hpp"
#include "cli/output.hpp"
#include "cli/page.hpp"
#include "cli/plan.hpp"
#include "cli/policies.hpp"
#include "cli/recall.hpp"
#include "cli/run.hpp"
#include "cli/serve.hpp"
#include "cli/stress.hpp"
#include "cli/suggest.hpp"
#include "cli/tasks.hpp"
#include "engine/model.hpp"
#include "vase/llama.hpp"

namespace vase::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;
constexpr int kOutputClosed = 128 + 13;  // as a shell shows a program that SIGPIPE ended

constexpr std::array<std::string_view, 10> kOneDash = {"-ngl", "-sm",  "-ts",  "-mg", "-tb",
                                                       "-ub",  "-ctk", "-ctv", "-np", "-sys"};

// Shows those options as the user writes them.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option *option, bool positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, positional);
    for (std::string_view known : kOneDash) {
      const std::string parsed = fmt::format("-{}", known);
      if (name.ends_with(parsed)) name.erase(name.size() - parsed.size(), 1);
    }
    return name;
  }
};

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

int fail(const std::string &message, int code) {
  fmt::print(stderr, "vase: {}\n", one_line(message));
  return code;
}

// CLI11 says "A subcommand is required" and "The following argument was not expected: x".
int fail_usage(const CLI::App &app, const CLI::ParseError &error,
               const std::vector<std::string> &arguments) {
  std::vector<std::string> commands;
  for (const CLI::App *command : app.get_subcommands({})) commands.push_back(command->get_name());
  if (!app.get_subcommands().empty()) {
    return fail(fmt::format("{} (see vase {} --help)", error.what(),
                            app.get_subcommands().front()->get_name()),
                kWrongUsage);
  }
  const std::string known = fmt::format("{}", fmt::join(commands, ", "));
  if (arguments.empty()) return fail(fmt::format("no command given: {}", known), kWrongUsage);
  const std::string guess = nearest(arguments.back(), commands);
  return fail(fmt::format("unknown command \"{}\"{}: {}", arguments.back(),
                          guess.empty() ? "" : fmt::format(", did you mean \"{}\"?", guess), known),
              kWrongUsage);
}

}  // namespace

std::unique_ptr<CLI::App> make_app() {
  auto app = std::make_unique<CLI::App>("llama.cpp models with a KV cache of fixed size.", "vase");
  app->formatter(std::make_shared<HelpFormatter>());
  app->get_formatter()->column_width(36);
  app->require_subcommand(1);
  app->set_version_flag("--version", fmt::format("vase {}", vase_version()));
  add_run_command(*app);
  add_chat_command(*app);
  add_serve_command(*app);
#ifdef VASE_HAS_EXEC
  add_exec_command(*app);
#endif
  add_calibrate_command(*app);
  add_plan_command(*app);
  add_bench_command(*app);
  add_policies_command(*app);
  add_models_command(*app);
  add_tasks_command(*app);
  add_eval_command(*app);
  add_fidelity_command(*app);
  add_recall_command(*app);
  add_inspect_command(*app);
  add_stress_command(*app);
  add_report_command(*app);
  return app;
}

std::vector<std::string> arguments_for_parser(int argc, const char *const *argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string &argument : arguments) {
    if (argument == "--") break;  // what follows is another program's
    const std::string name = argument.substr(0, argument.find('='));
    if (std::count(kOneDash.begin(), kOneDash.end(), name) > 0) argument.insert(0, 1, '-');
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

int run_app(int argc, const char *const *argv) {
  const std::unique_ptr<CLI::App> app = make_app();
  const std::vector<std::string> arguments = arguments_for_parser(argc, argv);
  try {
    app->parse(std::vector<std::string>(arguments));  // takes them from the back
    return 0;
  } catch (const CLI::Success &success) {  // --help, --version
    return app->exit(success);
  } catch (const CLI::RuntimeError &error) {  // a command has said what went wrong
    return error.get_exit_code();
  } catch (const CLI::ParseError &error) {
    return fail_usage(*app, error, arguments);
  } catch (const OutputClosed &) {
    return kOutputClosed;
  } catch (const Interrupted &) {
    return interrupt_exit_code();
  } catch (const Stopped &) {
    return interrupt_exit_code();
  } catch (const engine::LoadStopped &) {
    return interrupt_exit_code();
  } catch (const std::bad_alloc &) {
    return fail("out of memory", kFailed);
  } catch (const std::exception &error) {
    return fail(error.what(), kFailed);
  }
}

}  // namespace vase::cli
