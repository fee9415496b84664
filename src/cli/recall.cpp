#include "cli/recall.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cli/interrupt.hpp"
#include "cli/memory.hpp"
#include "cli/output.hpp"
#include "cli/progress_line.hpp"
#include "cli/recall_arguments.hpp"
#include "cli/recall_tables.hpp"
#include "cli/units.hpp"
#include "cli/variants.hpp"
#include "engine/cuda_graphs.hpp"
#include "recall/answers_file.hpp"
#include "recall/summary.hpp"

namespace vase::cli {
namespace {

std::string text_of(const recall::Progress &progress) {
  const std::string budget =
      progress.policy == progress.budget ? "" : fmt::format(" {}", progress.budget);
  return fmt::format(" {} {}/{} | {}{}, {} tokens: {} read | {} at a time ",
                     progress_bar(progress.done, progress.total), progress.done, progress.total,
                     progress.policy, budget, with_commas(progress.length),
                     with_commas(progress.position), progress.parallel);
}

void print_report(const RecallArguments &arguments, const std::vector<recall::Record> &records) {
  const recall::Summary summary =
      recall::summarise(records, arguments.base.value_or(recall::usual_base(records)));
  write_output(as_tables(summary));
  if (!arguments.json.empty()) write_json_file(arguments.json, recall::to_json(summary));
}

recall::Host host_of(const RecallArguments &arguments, const engine::Model &model,
                     const MemoryPlanner &planner, ProgressLine &line) {
  recall::Host host;
  host.parallel = arguments.parallel;
  host.contexts = arguments.contexts;
  host.context = arguments.context.interruptible();
  host.prompt_chunk = std::max(arguments.context.batch - arguments.parallel, 1);
  host.make_context = [&arguments, &model, &planner](const BoundedOptions &options) {
    if (!arguments.force) {
      check_memory(planner.plan_total(options), memory_for_model(arguments.model.n_gpu_layers),
                   "--parallel or --lengths");
    }
    return model.make_context(options);
  };
  host.progress = [&line](const recall::Progress &progress) {
    if (line.due()) line.show(text_of(progress));
    return !interrupted();
  };
  return host;
}

// The model knows no positions beyond what it was trained on: there even the full cache fails.
void check_length(std::int64_t longest, std::int64_t trained) {
  if (trained <= 0 || longest <= trained) return;
  throw Error(fmt::format(
      "text, what is read after it, question and answer come to {} tokens, and the model was "
      "trained on {}: take smaller --lengths or --after",
      with_commas(longest), with_commas(trained)));
}

void recall_texts(const RecallArguments &arguments) {
  if (!arguments.report.empty())
    return print_report(arguments, recall::read_answers(arguments.report));
  engine::avoid_cuda_graphs(arguments.contexts, arguments.parallel);
  install_interrupt_handlers();
  arguments.model.start_llama();
  recall::Plan plan = arguments.plan();
  const MemoryPlanner planner = arguments.model.planner();
  const nlohmann::ordered_json settings = arguments.settings();
  const engine::Model model(arguments.model.options());
  const recall::Prompt prompt(model, arguments.chat_of(model), arguments.system);
  plan.texts = arguments.make_texts(prompt, model);
  check_length(recall::longest(plan, prompt), model.n_ctx_train());

  recall::AnswersFile file(arguments.out, settings);
  if (file.was_torn()) {
    fmt::print(stderr, "vase: {}: the last line was not whole; its question is asked again\n",
               arguments.out);
  }
  ProgressLine line("vase recall");
  const bool complete =
      recall::run(model, prompt, plan, host_of(arguments, model, planner, line), file);
  line.clear();
  print_report(arguments, file.records());
  if (complete) return;
  fmt::print(stderr, "vase: stopped; {} answers are in {}, the same command goes on from there\n",
             with_commas(std::ssize(file.records())), arguments.out);
  throw Interrupted();
}

}  // namespace

void add_recall_command(CLI::App &app) {
  CLI::App *command = app.add_subcommand(
      "recall", "plant facts in a long text, and ask for them from a bounded cache");
  const auto arguments = std::make_shared<RecallArguments>();
  arguments->add_to(*command);
  std::string list;
  for (const recall::Category &category : recall::categories())
    list += fmt::format("  {:<11}{}\n", category.name, category.summary);
  command->footer(
      "Categories:\n" + list + "\n" + variant_help() +
      "\n\n"
      "A text is read once under each policy and budget, and each question asked from a copy. The\n"
      "text is not pinned, whatever a policy pins elsewhere: the sinks stay, of every policy "
      "alike;\n"
      "\"+prompt\" pins what stands before the text. Answers that are in the file are not asked "
      "for\n"
      "again.");
  command->callback([arguments] { recall_texts(*arguments); });
}

}  // namespace vase::cli
