#include "cli/plan.hpp"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/arguments.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/units.hpp"
#include "engine/log.hpp"
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

// The two columns of the table.
struct Plans {
  MemoryPlan bounded;
  MemoryPlan full;
};

BoundedOptions options_of(const PlanArguments &arguments) {
  BoundedOptions options{.policy = arguments.policy.params(0),
                         .n_sequences = arguments.sequences.value_or(1),
                         .pin_prompt = arguments.policy.pin_prompt,
                         .context = arguments.context.params()};
  options.context.n_ctx = static_cast<std::uint32_t>(arguments.n_ctx);
  return options;
}

MemoryPlan bounded_plan(const MemoryPlanner &planner, const PlanArguments &arguments) {
  BoundedOptions options = options_of(arguments);
  if (arguments.fit.empty()) return planner.plan(options);
  if (!arguments.policy.budget) options.policy.budget = 0;  // to be chosen
  if (!arguments.policy.recency) options.policy.recency = -1;
  if (!arguments.policy.interval) options.policy.interval = 0;
  if (!arguments.sequences) options.n_sequences = 0;
  return planner.fit(parse_bytes(arguments.fit), options);
}

Plans make_plans(const PlanArguments &arguments) {
  const MemoryPlanner planner(arguments.model.file().string(), arguments.model.llama_params());
  Plans plans{.bounded = bounded_plan(planner, arguments), .full = {}};
  BoundedOptions full = options_of(arguments);
  full.policy = vase_params_default(vase_policy_full(), arguments.n_ctx);
  full.n_sequences = plans.bounded.n_sequences;
  plans.full = planner.plan(full);
  return plans;
}

std::string heading(const MemoryPlan &plan, const std::string &policy) {
  const auto rows = plan.budget > 0 ? plan.budget : plan.cells;
  return fmt::format("{}, {} {} x {}", plan.budget > 0 ? policy : "full cache", plan.n_sequences,
                     plan.n_sequences == 1 ? "sequence" : "sequences", with_commas(rows));
}

std::string as_table(const Plans &plans, const PlanArguments &arguments) {
  Table table({"", heading(plans.bounded, arguments.policy.policy), heading(plans.full, "")});
  const auto row = [&](const char *name, auto bytes) {
    table.add({name, format_bytes(bytes(plans.bounded)), format_bytes(bytes(plans.full))});
  };
  row("weights", [](const MemoryPlan &plan) { return plan.weights; });
  row("KV cache", [](const MemoryPlan &plan) { return plan.kv; });
  row("evictions", [](const MemoryPlan &plan) { return plan.queries; });
  row("compute", [](const MemoryPlan &plan) { return plan.compute; });
  row("total", [](const MemoryPlan &plan) { return plan.total(); });
  if (plans.bounded.on_gpus > 0)
    row("of it on GPUs", [](const MemoryPlan &plan) { return plan.on_gpus; });
  std::string text = table.str();
  if (!plans.bounded.exact || !plans.full.exact) {
    text += "llama.cpp did not say its sizes: KV cache and compute are estimates\n";
  }
  return text;
}

nlohmann::ordered_json as_json(const MemoryPlan &plan) {
  return {{"budget", plan.budget},         {"sequences", plan.n_sequences},
          {"cells", plan.cells},           {"weights_bytes", plan.weights},
          {"kv_bytes", plan.kv},           {"queries_bytes", plan.queries},
          {"compute_bytes", plan.compute}, {"total_bytes", plan.total()},
          {"gpu_bytes", plan.on_gpus},     {"exact", plan.exact}};
}

void plan(const PlanArguments &arguments) {
  engine::init_llama(arguments.model.verbose);
  const Plans plans = make_plans(arguments);
  if (!arguments.json) return write_output(as_table(plans, arguments));
  const nlohmann::ordered_json json = {{"model", arguments.model.file().string()},
                                       {"policy", arguments.policy.policy},
                                       {"bounded", as_json(plans.bounded)},
                                       {"full", as_json(plans.full)}};
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
  command->add_flag("--json", arguments->json, "print JSON");
  arguments->context.add_to(*command);
  command->callback([arguments] { plan(*arguments); });
}

}  // namespace vase::cli
