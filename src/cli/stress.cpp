#include "cli/stress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/default_files.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory.hpp"
#include "cli/output.hpp"
#include "cli/session.hpp"
#include "cli/status_line.hpp"
#include "cli/table.hpp"
#include "cli/training_length.hpp"
#include "cli/units.hpp"
#include "eval/question_file.hpp"
#include "eval/stress.hpp"

namespace vase::cli {
namespace {

struct StressArguments {
  SessionArguments session;
  eval::TaskSelection selection;
  std::int64_t tokens = 32768;
  std::int64_t bucket = 8192;
  std::string out;

  StressArguments() {
    selection.tiers = {"1k"};
    selection.seed = 1;
    session.sampling.options.temperature = 0.0f;
    session.sampling.seed = 1;
  }
};

BoundedOptions options_of(const StressArguments &arguments) {
  const SessionArguments &session = arguments.session;
  BoundedOptions options{
      .policy = session.policy.params(static_cast<std::uint64_t>(session.sampling.seed)),
      .pin_prompt = session.policy.pin_prompt,
      .context = session.context.interruptible()};
  // For the full cache: the whole text, its last answer included.
  constexpr std::int64_t kLastAnswer = 16384;
  options.context.n_ctx =
      static_cast<std::uint32_t>(session.n_ctx.value_or(arguments.tokens + kLastAnswer));
  session.model.check_calibration({options.policy.policy});
  if (session.force) return options;
  const MemoryPlanner planner = session.model.planner();
  check_memory(planner.plan_total(options), memory_for_model(session.model.n_gpu_layers),
               session.policy.evicts() ? "--budget" : "-c");
  return options;
}

// Questions in an order that mixes the tasks.
std::vector<eval::Question> questions_of(const eval::TaskSelection &selection) {
  std::vector<eval::Question> questions = eval::make_questions(selection);
  const auto count = static_cast<std::size_t>(selection.count);
  std::vector<eval::Question> mixed;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = i; j < questions.size(); j += count) mixed.push_back(questions[j]);
  }
  return mixed;
}

std::string table_of(const std::vector<eval::StressAnswer> &answers, std::int64_t bucket) {
  Table table({"position", "questions", "right", "tokens", "rows", "KV cache", "resident"});
  for (std::size_t i = 0; i < answers.size();) {
    const std::int64_t from = answers[i].position / bucket * bucket;
    std::int64_t count = 0, right = 0, tokens = 0;
    for (; i < answers.size() && answers[i].position < from + bucket; ++i) {
      ++count;
      right += answers[i].correct ? 1 : 0;
      tokens += answers[i].tokens;
    }
    const eval::StressAnswer &last = answers[i - 1];
    table.add({fmt::format("from {}", with_commas(from)), fmt::format("{}", count),
               fmt::format("{}", right), with_commas(tokens), with_commas(last.rows),
               format_bytes(last.kv_bytes), format_bytes(last.resident_bytes)});
  }
  return table.str();
}

void write_lines(const std::string &path, const std::vector<eval::StressAnswer> &answers) {
  if (path.empty()) return;
  std::ofstream file(path, std::ios::binary);
  for (const eval::StressAnswer &answer : answers) file << eval::to_json(answer).dump() << '\n';
  file.close();
  if (!file) throw Error(fmt::format("cannot write {}", path));
}

void stress(StressArguments arguments) {
  install_interrupt_handlers();
  arguments.session.model.start_llama();
  eval::StressPlan plan;
  plan.questions = questions_of(arguments.selection);
  plan.sampling = arguments.session.sampling.resolved();
  plan.tokens = arguments.tokens;
  plan.limit = std::max<std::int64_t>(arguments.session.n_predict, 0);
  StatusLine status;
  plan.progress = [&](std::int64_t tokens) {
    if (status.due()) {
      status.show(
          fmt::format(" {}/{} tokens ", with_commas(tokens), with_commas(arguments.tokens)));
    }
    return !interrupted();
  };

  const BoundedOptions options = options_of(arguments);
  const engine::Model model(arguments.session.model.options());
  TrainingLength().check("the text goes on to", arguments.tokens, model.n_ctx_train());
  const engine::Conversation conversation(
      arguments.session.chat.open(model, arguments.session.model), arguments.session.system);
  BoundedContext context = model.make_context(options);
  const bool with_script = eval::GradingDesk::needs_script(plan.questions);
  eval::GradingDesk desk(plan.questions, with_script ? eval_script("math_verify_helper.py") : "");
  const std::vector<eval::StressAnswer> answers =
      eval::run_stress(plan, model, context, conversation, desk);
  status.clear();
  write_lines(arguments.out, answers);
  write_output(table_of(answers, arguments.bucket));
  if (interrupted()) throw Interrupted();
}

}  // namespace

void add_stress_command(CLI::App &app) {
  CLI::App *command = app.add_subcommand(
      "stress", "many questions in one long text: accuracy and memory by position");
  const auto arguments = std::make_shared<StressArguments>();
  command->add_option("--tokens", arguments->tokens, "go on until the text is this long")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--bucket", arguments->bucket, "positions that one row of the table covers")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--tasks", arguments->selection.tasks, "tasks, or all")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--tiers", arguments->selection.tiers, "1k, 2k, 4k, 8k or all")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--split", arguments->selection.split, "train, tune or test")
      ->capture_default_str();
  command->add_option("--problem-seed", arguments->selection.seed, "the problems' seed")
      ->capture_default_str();
  command->add_option("-o,--out", arguments->out, "also write each answer to this JSONL file");
  arguments->session.add_to(*command);
  command->footer(
      "The questions are turns of one conversation. Positions go on beyond what the model was\n"
      "trained on: compare with the full cache of the same length to tell what eviction costs.");
  command->callback([arguments] { stress(*arguments); });
}

}  // namespace vase::cli
