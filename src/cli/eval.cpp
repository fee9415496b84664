#include "cli/eval.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "cli/default_files.hpp"
#include "cli/eval_arguments.hpp"
#include "cli/eval_tables.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory.hpp"
#include "cli/output.hpp"
#include "cli/progress_line.hpp"
#include "cli/table.hpp"
#include "cli/training_length.hpp"
#include "cli/units.hpp"
#include "cli/variants.hpp"
#include "engine/chat.hpp"
#include "engine/cuda_graphs.hpp"
#include "eval/evaluation.hpp"
#include "eval/question_check.hpp"
#include "eval/summary.hpp"

namespace vase::cli {
namespace {

using eval::EvaluationProgress;

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds);
  if (whole >= 3600) return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} s", whole);
}

std::string text_of(const EvaluationProgress &progress) {
  std::string text = fmt::format(" {} {}/{}{} | {} | {} at a time | {:.0f} tok/s",
                                 progress_bar(progress.done, progress.total), progress.done,
                                 progress.total, progress.more ? " (full cache first)" : "",
                                 progress.doing, progress.active, progress.tokens_per_second);
  if (progress.seconds_left > 0) text += " | " + duration_text(progress.seconds_left) + " left";
  return text + " ";
}

void print_summary(const EvalArguments &arguments, const std::vector<eval::Record> &records) {
  const eval::Summary summary =
      eval::summarise(records, arguments.base.value_or(eval::usual_base(records)));
  write_output(as_tables(summary));
  if (!arguments.json.empty()) write_json_file(arguments.json, eval::to_json(summary));
}

void summarise(const EvalArguments &arguments) {
  eval::RunCollection runs;
  for (const std::string &path : arguments.summary) {
    eval::Run run = eval::read_run(path);
    if (run.torn) fmt::print(stderr, "vase: {}: its last line is not whole, left out\n", path);
    say_twice(path, runs.add(std::move(run)));
  }
  print_summary(arguments, runs.records());
}

eval::EvaluationHost host_of(const EvalArguments &arguments, const engine::Model &model,
                             const MemoryPlanner &planner, ProgressLine &line) {
  eval::EvaluationHost host;
  host.parallel = arguments.parallel;
  host.contexts = arguments.contexts;
  host.context = arguments.context.interruptible();
  host.prompt_chunk = std::max(arguments.context.batch - arguments.parallel, 1);
  host.keep_text = arguments.keep_text;
  host.system = arguments.system;
  host.make_context = [&arguments, &model, &planner](const BoundedOptions &options) {
    if (!arguments.force) {
      check_memory(planner.plan_total(options), memory_for_model(arguments.model.n_gpu_layers),
                   "--parallel");
    }
    return model.make_context(options);
  };
  host.progress = [&line](const EvaluationProgress &progress) {
    if (line.due()) line.show(text_of(progress));
    return !interrupted();
  };
  return host;
}

std::filesystem::path math_script(const std::vector<eval::Question> &questions) {
  return eval::GradingDesk::needs_script(questions) ? eval_script("math_verify_helper.py") : "";
}

void check_problems(const EvalArguments &arguments) {
  constexpr std::size_t kShown = 5;
  const std::vector<eval::Question> questions = arguments.questions();
  eval::GradingDesk desk(questions, math_script(questions));
  Table table({"task", "grader", "questions", "right in a box", "right in words"}, 2);
  std::string wrong;
  for (const eval::CheckedQuestions &checked : eval::check_questions(questions, desk)) {
    const auto count = [](std::int64_t n) { return fmt::format("{}", n); };
    table.add({checked.task, eval::name_of(checked.grader), count(checked.questions),
               count(checked.boxed_right), count(checked.said_right)});
    for (std::size_t i = 0; i < std::min(checked.wrong.size(), kShown); ++i) {
      wrong += fmt::format("wrong in a box: {}, {}\n", checked.task, checked.wrong[i]);
    }
  }
  write_output(table.str() + wrong);
}

void evaluate(const EvalArguments &arguments) {
  if (!arguments.summary.empty()) return summarise(arguments);
  if (arguments.check_problems) return check_problems(arguments);
  engine::avoid_cuda_graphs(arguments.contexts, arguments.parallel);
  install_interrupt_handlers();
  arguments.model.start_llama();
  const MemoryPlanner planner = arguments.model.planner();
  const eval::EvaluationPlan plan = arguments.plan();
  const std::filesystem::path path = arguments.run_path();
  eval::GradingDesk desk(plan.questions, math_script(plan.questions));
  eval::RunFile file(path, arguments.settings());
  if (file.was_torn()) {
    fmt::print(stderr, "vase: {}: the last line was not whole; its question is asked again\n",
               path.string());
  }

  const engine::Model model(arguments.model.options());
  const auto chat_template = arguments.chat.open(model, arguments.model);
  ProgressLine line("vase eval");
  const eval::EvaluationHost host = host_of(arguments, model, planner, line);
  eval::Evaluation evaluation(model, chat_template, plan, host, desk, file);
  TrainingLength().check("with its prompt an answer may come to", evaluation.longest_text(),
                         model.n_ctx_train());
  const bool complete = evaluation.run();
  line.clear();
  print_summary(arguments, file.records());
  if (desk.given_up() > 0) {
    fmt::print(stderr, "vase: math-verify gave up on {} answers; they count as wrong\n",
               desk.given_up());
  }
  if (complete) return;
  fmt::print(stderr, "vase: stopped; {} answers are in {}, the same command goes on from there\n",
             with_commas(std::ssize(file.records())), path.string());
  throw Interrupted();
}

}  // namespace

void add_eval_command(CLI::App &app) {
  CLI::App *command =
      app.add_subcommand("eval", "ask many questions under many policies, and count right answers");
  const auto arguments = std::make_shared<EvalArguments>();
  arguments->add_to(*command);
  command->footer(
      variant_help() +
      "\n\n"
      "Every finished question is a line of the JSONL file; what is in it already is not "
      "asked\n"
      "again, so a run that was stopped goes on. The same seed gives the same draws for a\n"
      "question whatever runs beside it; rounding in llama.cpp depends on the batch, so\n"
      "single answers may still differ with another --parallel.");
  command->callback([arguments] { evaluate(*arguments); });
}

}  // namespace vase::cli
