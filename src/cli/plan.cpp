#include "cli/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/arguments.hpp"
#include "cli/fleet_arguments.hpp"
#include "cli/memory.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/training_length.hpp"
#include "cli/units.hpp"
#include "engine/machine.hpp"
#include "engine/thinking_budget.hpp"
#include "llama/plan/memory_plan.hpp"

namespace vase::cli {
namespace {

struct PlanArguments {
  ModelArguments model;
  ContextArguments context;
  PolicyArguments policy;
  std::optional<std::int32_t> sequences;
  std::int32_t n_ctx = 32768;
  std::string fit;
  ThinkingArguments thinking;
  std::int64_t n_predict = -1;
  FleetArguments fleet;
  bool json = false;
};

std::string check_size(const std::string &text) {
  try {
    parse_bytes(text);
    return {};
  } catch (const Error &error) {
    return error.what();
  }
}

// How long an answer can become, known beforehand.
struct LongestAnswer {
  std::int64_t thought = 0;            // tokens, of each thought
  std::int64_t ending = 0;             // that end it, whichever marks the model uses
  std::int64_t tokens = -1;            // of thought and answer together; negative: no limit
  std::uint64_t full_cache_bytes = 0;  // for the thought and its ending
};

// The two columns of the table.
struct Plans {
  MemoryPlan bounded;
  MemoryPlan full;
  std::size_t program = 0;                   // code and libraries
  std::optional<LongestAnswer> answer = {};  // with --reasoning-budget
};

BoundedOptions options_of(const PlanArguments &arguments) {
  BoundedOptions options{.policy = arguments.policy.params(0),
                         .n_sequences = arguments.sequences.value_or(1),
                         .pin_prompt = arguments.policy.pin_prompt,
                         .context = arguments.context.params()};
  options.context.n_ctx = static_cast<std::uint32_t>(arguments.n_ctx);
  return options;
}

MemoryPlan bounded_plan(const MemoryPlanner &planner, const PlanArguments &arguments,
                        std::size_t program) {
  BoundedOptions options = options_of(arguments);
  if (arguments.fit.empty()) return planner.plan(options);
  if (!arguments.policy.budget) options.policy.budget = 0;  // to be chosen
  if (!arguments.policy.recency) options.policy.recency = -1;
  if (!arguments.policy.interval) options.policy.interval = 0;
  if (!arguments.sequences) options.n_sequences = 0;
  const std::uint64_t limit = parse_bytes(arguments.fit);
  return planner.fit(limit - std::min<std::uint64_t>(limit, program), options);
}

LongestAnswer longest_answer(const llama_vocab *vocab, const PlanArguments &arguments,
                             const MemoryPlan &plan) {
  const engine::ThinkingOptions &thinking = arguments.thinking.options;
  LongestAnswer answer{.thought = thinking.budget, .tokens = arguments.n_predict};
  for (const engine::ThoughtMarks &marks : engine::kThoughtMarks) {
    answer.ending = std::max<std::int64_t>(
        answer.ending, std::ssize(engine::end_of_thought(vocab, marks, thinking.message)));
  }
  // A thought may be ended later than its budget by as much as the model takes to end it itself.
  answer.ending += engine::ThinkingBudget::kPatience;
  const FullCacheCost cost(plan);
  answer.full_cache_bytes = cost.at(answer.thought + answer.ending) - cost.at(0);
  return answer;
}

Plans make_plans(const PlanArguments &arguments) {
  // A run reads some more of the code, but the code of no architecture but its own: in all that was
  // measured less than half (bench/planned_memory.py).
  const std::size_t program = engine::resident_memory() + engine::code_not_read_yet() / 2;
  const MemoryPlanner planner = arguments.model.planner();
  Plans plans{.bounded = bounded_plan(planner, arguments, program), .full = {}, .program = program};
  BoundedOptions full = options_of(arguments);
  full.policy = vase_params_default(vase_policy_full(), arguments.n_ctx);
  full.n_sequences = plans.bounded.n_sequences;
  plans.full = planner.plan(full);
  if (arguments.thinking.options.budget >= 0) {
    plans.answer = longest_answer(llama_model_get_vocab(planner.model()), arguments, plans.full);
  }
  TrainingLength().check("the full cache is planned for", arguments.n_ctx,
                         llama_model_n_ctx_train(planner.model()));
  return plans;
}

std::string heading(const MemoryPlan &plan, const std::string &policy) {
  const auto rows = plan.budget > 0 ? plan.budget : plan.cells;
  return fmt::format("{}, {} {} x {}", plan.budget > 0 ? policy : "full cache", plan.n_sequences,
                     plan.n_sequences == 1 ? "sequence" : "sequences", with_commas(rows));
}

std::string in_words(const LongestAnswer &answer, const MemoryPlan &plan) {
  std::string text =
      fmt::format("a thought has at most {} tokens and {} to end it: in a full cache these take {}",
                  with_commas(answer.thought), with_commas(answer.ending),
                  format_bytes(answer.full_cache_bytes));
  if (plan.budget > 0) text += ", here nothing beside the KV cache above";
  if (answer.tokens >= 0) {
    text += fmt::format("\nan answer has at most {} tokens, its thought among them",
                        with_commas(answer.tokens));
  }
  return text + "\n";
}

std::string as_table(const Plans &plans, const PlanArguments &arguments) {
  Table table({"", heading(plans.bounded, arguments.policy.policy), heading(plans.full, "")});
  const auto row = [&](const char *name, auto bytes) {
    table.add({name, format_bytes(bytes(plans.bounded)), format_bytes(bytes(plans.full))});
  };
  row("weights", [](const MemoryPlan &plan) { return plan.weights; });
  if (plans.bounded.repacked > 0)
    row("weights repacked", [](const MemoryPlan &plan) { return plan.repacked; });
  if (plans.bounded.adapters > 0)
    row("adapters", [](const MemoryPlan &plan) { return plan.adapters; });
  row("KV cache", [](const MemoryPlan &plan) { return plan.kv; });
  row("evictions", [](const MemoryPlan &plan) { return plan.queries; });
  row("compute", [](const MemoryPlan &plan) { return plan.compute; });
  row("llama.cpp's own", [](const MemoryPlan &plan) { return plan.structures; });
  row("program", [&](const MemoryPlan &) { return plans.program; });
  row("resident", [&](const MemoryPlan &plan) { return plan.resident() + plans.program; });
  row("logits, untouched", [](const MemoryPlan &plan) { return plan.unused_logits; });
  row("total", [&](const MemoryPlan &plan) { return plan.total() + plans.program; });
  if (plans.bounded.on_gpus > 0)
    row("of it on GPUs", [](const MemoryPlan &plan) { return plan.on_gpus; });
  std::string text = table.str();
  if (!plans.bounded.exact || !plans.full.exact) {
    text += "llama.cpp did not say its sizes: KV cache and compute are estimates\n";
  }
  if (plans.answer) text += in_words(*plans.answer, plans.bounded);
  if (arguments.fleet.given())
    text += arguments.fleet.in_words(plans.bounded, plans.full, plans.program);
  return text;
}

nlohmann::ordered_json as_json(const MemoryPlan &plan, std::size_t program) {
  return {{"budget", plan.budget},
          {"sequences", plan.n_sequences},
          {"cells", plan.cells},
          {"weights_bytes", plan.weights},
          {"repacked_bytes", plan.repacked},
          {"adapters_bytes", plan.adapters},
          {"kv_bytes", plan.kv},
          {"queries_bytes", plan.queries},
          {"compute_bytes", plan.compute},
          {"structures_bytes", plan.structures},
          {"program_bytes", program},
          {"resident_bytes", plan.resident() + program},
          {"unused_logits_bytes", plan.unused_logits},
          {"total_bytes", plan.total() + program},
          {"gpu_bytes", plan.on_gpus},
          {"exact", plan.exact}};
}

void plan(const PlanArguments &arguments) {
  arguments.thinking.check(arguments.n_predict);
  arguments.fleet.check();
  arguments.model.start_llama();
  const Plans plans = make_plans(arguments);
  if (!arguments.json) return write_output(as_table(plans, arguments));
  nlohmann::ordered_json json = {{"model", arguments.model.file().string()},
                                 {"policy", arguments.policy.policy},
                                 {"bounded", as_json(plans.bounded, plans.program)},
                                 {"full", as_json(plans.full, plans.program)}};
  if (plans.answer) {
    json["answer"] = {{"thought_tokens", plans.answer->thought},
                      {"ending_tokens", plans.answer->ending},
                      {"full_cache_bytes", plans.answer->full_cache_bytes}};
    if (plans.answer->tokens >= 0) json["answer"]["tokens"] = plans.answer->tokens;
  }
  if (arguments.fleet.given())
    json["fleet"] = arguments.fleet.as_json(plans.bounded, plans.program);
  write_output(json.dump(2) + "\n");
}

}  // namespace

void add_plan_command(CLI::App &app) {
  CLI::App *command = app.add_subcommand("plan", "how much memory it will take, before loading");
  const auto arguments = std::make_shared<PlanArguments>();
  arguments->model.add_to(*command);
  arguments->policy.add_to(*command);
  command
      ->add_option("--parallel,--np", arguments->sequences, "sequences side by side (default: 1)")
      ->check(at_least(1));
  command
      ->add_option("-c,--ctx-size", arguments->n_ctx,
                   "tokens of each sequence in the full cache that stands beside it")
      ->check(at_least(1))
      ->capture_default_str();
  command
      ->add_option("--fit", arguments->fit,
                   "choose budget and sequences that fit into this, for example 8GiB")
      ->check(CLI::Validator(check_size, ""));
  arguments->thinking.add_to(*command);
  command
      ->add_option("-n,--n-predict", arguments->n_predict,
                   "with --reasoning-budget: tokens of an answer, its thought among them; -1: any "
                   "number")
      ->check(at_least(-1))
      ->capture_default_str()
      ->group("Sampling");
  arguments->fleet.add_to(*command);
  command->add_flag("--json", arguments->json, "print JSON");
  arguments->context.add_to(*command);
  command->footer(
      "\"resident\" is what will be in memory once a text was read: all lines above it. What "
      "llama.cpp reserves\nfor the logits of each token of a batch, and nothing touches, stands "
      "below it; --fit has room for both.");
  command->callback([arguments] { plan(*arguments); });
}

}  // namespace vase::cli
