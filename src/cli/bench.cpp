#include "cli/bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/bench_measure.hpp"
#include "cli/bench_report.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory.hpp"
#include "cli/output.hpp"
#include "cli/status_line.hpp"
#include "engine/machine.hpp"
#include "engine/model.hpp"

namespace vase::cli {
namespace {

struct BenchArguments {
  ModelArguments model;
  ContextArguments context;
  PolicyArguments policy;
  std::vector<std::int32_t> depths = {512, 1024, 2048, 4096, 8192};
  std::int32_t tokens = 0;  // 0: two evictions
  std::vector<std::int32_t> sequences = {1};
  bool stagger = false;
  bool no_plain = false;
  std::int64_t seed = 1;
  std::string json;
  bool force = false;
};

BenchPlan make_plan(const BenchArguments &arguments, std::int32_t sequences) {
  BenchPlan plan{.depths = arguments.depths, .tokens = arguments.tokens};
  std::sort(plan.depths.begin(), plan.depths.end());
  plan.with_plain = !arguments.no_plain;
  plan.bounded = {.policy = arguments.policy.params(static_cast<std::uint64_t>(arguments.seed)),
                  .n_sequences = sequences,
                  .pin_prompt = arguments.policy.pin_prompt,
                  .context = arguments.context.interruptible()};
  arguments.model.check_calibration({plan.bounded.policy.policy});
  // Whole intervals, so that each window pays for its share of evictions.
  if (plan.tokens == 0) plan.tokens = 2 * plan.bounded.policy.interval;
  if (arguments.stagger) plan.stagger = std::max(1, plan.bounded.policy.interval / sequences);

  plan.plain = plan.bounded;
  plan.plain.policy = vase_params_default(vase_policy_full(), plan.depths.back());
  plan.plain.context.n_ctx = static_cast<std::uint32_t>(plan.text_length());
  return plan;
}

// A plan for each number of sequences.
std::vector<BenchPlan> make_plans(const BenchArguments &arguments) {
  if (!arguments.policy.evicts()) {
    throw Error("bench compares a policy that evicts with the full cache: choose another --policy");
  }
  std::vector<BenchPlan> plans;
  for (const std::int32_t sequences : arguments.sequences)
    plans.push_back(make_plan(arguments, sequences));
  return plans;
}

void check_fit(const BenchArguments &arguments, const std::vector<BenchPlan> &plans) {
  const auto available = memory_for_model(arguments.model.n_gpu_layers);
  if (arguments.force || !available) return;
  const MemoryPlanner planner = arguments.model.planner();
  for (const BenchPlan &plan : plans) {
    MemoryPlan all = planner.plan_total(plan.bounded);
    if (plan.with_plain) {
      const MemoryPlan plain = planner.plan_total(plan.plain);
      all.kv += plain.kv;
      all.compute += plain.compute;
      all.unused_logits += plain.unused_logits;
    }
    check_memory(all, available, "--depths");
  }
}

// Opened before the measurements, so that a bad path is known at once.
std::ofstream open_json(const std::string &path) {
  errno = 0;
  std::ofstream file(path);
  if (!file) throw Error(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  return file;
}

void bench(const BenchArguments &arguments) {
  std::ofstream json;
  if (!arguments.json.empty()) json = open_json(arguments.json);
  install_interrupt_handlers();
  arguments.model.start_llama();

  BenchOrigin origin{.gpu_bytes = engine::gpu_memory_in_use()};
  const std::vector<BenchPlan> plans = make_plans(arguments);
  check_fit(arguments, plans);
  StatusLine status;
  status.show(" loading the model ");
  const engine::Model model(arguments.model.options());
  origin.model = arguments.model.file().string();
  const auto progress = [&](const std::string &what) {
    if (status.due()) status.show(what);
    if (interrupted()) throw Interrupted();
  };
  for (const BenchPlan &plan : plans) {
    const BenchResult result = measure(model, plan, progress);
    status.clear();
    if (!result.depths.empty()) write_output(as_table(result));
    if (json.is_open()) {
      json << as_json(result, origin) << std::flush;
      if (!json) throw Error(fmt::format("cannot write {}", arguments.json));
    }
    if (result.interrupted) throw Interrupted();
  }
}

}  // namespace

void add_bench_command(CLI::App &app) {
  CLI::App *command =
      app.add_subcommand("bench", "plain llama.cpp and a bounded cache, side by side");
  const auto arguments = std::make_shared<BenchArguments>();
  command->add_option("--depths", arguments->depths, "tokens in the text when speed is measured")
      ->delimiter(',')
      ->check(at_least(1))
      ->capture_default_str();
  command
      ->add_option("-n,--n-predict", arguments->tokens,
                   "tokens decoded at each depth (default: two intervals)")
      ->check(at_least(1));
  command
      ->add_option("--parallel,--np", arguments->sequences,
                   "sequences that decode side by side; several numbers are measured in turn")
      ->delimiter(',')
      ->check(at_least(1))
      ->capture_default_str();
  command->add_flag("--stagger", arguments->stagger,
                    "sequences of different lengths, so that they evict at different steps");
  command->add_flag("--no-plain", arguments->no_plain,
                    "the bounded cache alone, for where the full one does not fit beside it");
  command->add_option("--json", arguments->json,
                      "also write the numbers to this file, a line for each measurement");
  command->add_option("-s,--seed", arguments->seed, "of the evictions' draws")
      ->check(at_least(0))
      ->capture_default_str();
  command->add_flag("--force", arguments->force,
                    "start even if the memory does not seem to suffice");
  arguments->model.add_to(*command);
  arguments->policy.add_to(*command);
  arguments->context.add_to(*command);
  command->footer(
      "Both read the same tokens and decode by turns, so that whatever else the machine does hits\n"
      "both alike.");
  command->callback([arguments] { bench(*arguments); });
}

}  // namespace vase::cli
