#include "cli/fidelity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/chat_arguments.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory.hpp"
#include "cli/output.hpp"
#include "cli/policy_list.hpp"
#include "cli/prompt.hpp"
#include "cli/status_line.hpp"
#include "cli/table.hpp"
#include "cli/training_length.hpp"
#include "cli/units.hpp"
#include "cli/variants.hpp"
#include "engine/chat.hpp"
#include "engine/model.hpp"
#include "eval/budget.hpp"
#include "eval/cache_rows.hpp"
#include "eval/fidelity.hpp"
#include "eval/fingerprint.hpp"

namespace vase::cli {
namespace {

struct FidelityArguments {
  ModelArguments model;
  ContextArguments context;
  PolicyArguments policy;  // parameters of all policies
  std::optional<std::string> text;
  std::optional<std::string> prompt;  // a question, to which the text is the answer
  ChatArguments chat;                 // of the question
  std::vector<std::string> policies = policies_to_compare();
  std::vector<std::string> budgets = {"4x"};
  std::int64_t tokens = 0;  // 0: all, up to what the model was trained on
  std::int32_t bucket = 512;
  std::int32_t chunk = 16;
  std::int64_t seed = 1;
  std::string out;
  bool force = false;
};

// The text, behind the question as the model's chat template writes it if there is one.
void read_text(const FidelityArguments &arguments, const engine::Model &model,
               eval::FidelityPlan &plan) {
  if (arguments.prompt) {
    const std::string question = read_prompt(arguments.prompt, {});
    engine::Conversation conversation(arguments.chat.open(model, arguments.model), "");
    plan.tokens = model.tokenize(conversation.ask(question));
    plan.n_prompt = std::ssize(plan.tokens);
  }
  const std::vector<llama_token> text =
      model.tokenize(read_prompt({}, arguments.text), plan.tokens.empty());
  plan.tokens.insert(plan.tokens.end(), text.begin(), text.end());
  const std::int64_t limit = arguments.tokens > 0 ? arguments.tokens : model.n_ctx_train();
  if (limit <= plan.n_prompt) {
    throw Error(fmt::format("-n {}: the prompt alone has {} tokens", limit, plan.n_prompt));
  }
  if (std::ssize(plan.tokens) > limit) plan.tokens.resize(static_cast<std::size_t>(limit));
  if (plan.tokens.size() < 2) {
    throw Error("the text has only one token: there is nothing to predict");
  }
}

// "4x": a quarter of the text, as for a task of that length.
std::vector<eval::FidelityEntry> entries_of(const FidelityArguments &arguments,
                                            std::size_t n_tokens) {
  const eval::MeanLengths lengths = {{"text", {.all = static_cast<double>(n_tokens)}}};
  const auto seed = static_cast<std::uint64_t>(arguments.seed);
  std::vector<eval::FidelityEntry> entries;
  std::vector<const vase_policy *> compared;
  for (const eval::Variant &variant : parse_variants(arguments.policies, arguments.policy, seed)) {
    compared.push_back(variant.policy);
    if (!variant.has_budget()) {
      const auto rows = static_cast<std::int32_t>(n_tokens);
      entries.push_back({.policy = variant.label,
                         .budget = "full",
                         .lane = {.params = vase_params_default(vase_policy_full(), rows)}});
      continue;
    }
    for (const std::string &text : arguments.budgets) {
      const eval::Budget budget = eval::parse_budget(text);
      entries.push_back({.policy = variant.label,
                         .budget = budget.label,
                         .lane = {.params = variant.params(eval::rows_of(budget, lengths, "text")),
                                  .pin_prompt = variant.pin_prompt,
                                  .selection = variant.selection}});
    }
  }
  arguments.model.check_calibration(compared);
  return entries;
}

std::string table_of(const std::vector<eval::FidelityBucket> &buckets) {
  Table table(
      {"policy", "budget", "rows", "KL", "NLL", "NLL of full", "same top-1", "peak KV", "tokens"},
      2);
  for (const eval::FidelityBucket &total : eval::overall(buckets)) {
    table.add({total.policy, total.budget, with_commas(total.rows), fmt::format("{:.4f}", total.kl),
               fmt::format("{:.4f}", total.nll), fmt::format("{:.4f}", total.nll_full),
               fmt::format("{:.1f}%", 100 * total.same_top),
               format_bytes(static_cast<std::uint64_t>(total.peak_kv_bytes)),
               with_commas(total.to - total.from)});
  }
  return table.str();
}

void write_lines(const FidelityArguments &arguments,
                 const std::vector<eval::FidelityBucket> &buckets) {
  if (arguments.out.empty()) return;
  const std::filesystem::path model = arguments.model.file();
  nlohmann::ordered_json first = {
      {"vase_fidelity", 1},
      {"model", fmt::format("{} ({})", model.filename().string(), eval::fingerprint(model))},
      {"text", arguments.text.value_or("-")},
      {"cache_types", eval::cache_types(arguments.context.params())},
      {"seed", arguments.seed}};
  if (arguments.prompt) first["prompt"] = *arguments.prompt;
  std::ofstream file(arguments.out, std::ios::binary);
  file << first.dump() << '\n';
  for (const eval::FidelityBucket &bucket : buckets) file << eval::to_json(bucket).dump() << '\n';
  file.close();
  if (!file) throw Error(fmt::format("cannot write {}", arguments.out));
}

eval::LaneHost host_of(const FidelityArguments &arguments, const engine::Model &model,
                       const MemoryPlanner &planner) {
  eval::LaneHost host;
  host.context = arguments.context.interruptible();
  host.chunk = arguments.chunk;
  host.make_context = [&](const BoundedOptions &options) {
    if (!arguments.force) {
      check_memory(planner.plan_total(options), memory_for_model(arguments.model.n_gpu_layers),
                   "-n");
    }
    return model.make_context(options);
  };
  return host;
}

void fidelity(const FidelityArguments &arguments) {
  install_interrupt_handlers();
  arguments.model.start_llama();
  const MemoryPlanner planner = arguments.model.planner();
  const engine::Model model(arguments.model.options());

  StatusLine status;
  eval::FidelityPlan plan;
  read_text(arguments, model, plan);
  TrainingLength().check("the text has", std::ssize(plan.tokens), model.n_ctx_train());
  plan.entries = entries_of(arguments, plan.tokens.size());
  plan.n_vocab = static_cast<std::size_t>(llama_vocab_n_tokens(model.vocab()));
  plan.bucket = arguments.bucket;
  plan.host = host_of(arguments, model, planner);
  plan.host.n_ctx = std::ssize(plan.tokens);
  plan.progress = [&status](std::int64_t done, std::int64_t total) {
    if (status.due()) {
      status.show(fmt::format(" {}/{} tokens ", with_commas(done), with_commas(total)));
    }
    return !interrupted();
  };
  const std::vector<eval::FidelityBucket> buckets = eval::measure_fidelity(plan);
  status.clear();
  write_lines(arguments, buckets);
  write_output(table_of(buckets));
  if (interrupted()) throw Interrupted();
}

}  // namespace

void add_fidelity_command(CLI::App &app) {
  CLI::App *command = app.add_subcommand(
      "fidelity", "what a bounded cache predicts, token by token, against the full cache");
  const auto arguments = std::make_shared<FidelityArguments>();
  command->add_option("-f,--file", arguments->text, "the text; -: standard input");
  command->add_option("-p,--prompt", arguments->prompt,
                      "the question that the text answers: read before it in the model's chat "
                      "format,\npinned as the policies do, and not measured");
  arguments->chat.add_to(*command);
  command
      ->add_option("--policies", arguments->policies, "policies to compare with the full f16 cache")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--budgets", arguments->budgets, "rows, or 4x for a quarter of the text")
      ->delimiter(',')
      ->capture_default_str();
  command
      ->add_option("-n,--tokens", arguments->tokens,
                   "tokens of the text to read (default: as many as the model was trained on)")
      ->check(at_least(2));
  command->add_option("--bucket", arguments->bucket, "positions that one line averages")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--chunk", arguments->chunk, "tokens in one step, at most")
      ->check(at_least(1, 1024))
      ->capture_default_str();
  command->add_option("-s,--seed", arguments->seed, "of the evictions' draws")
      ->check(at_least(0))
      ->capture_default_str();
  command->add_option("-o,--out", arguments->out, "also write the buckets to this JSONL file");
  command->add_flag("--force", arguments->force,
                    "start even if the memory does not seem to suffice");
  arguments->model.add_to(*command);
  arguments->policy.add_parameters_to(*command);
  arguments->context.add_to(*command);
  command->footer(
      variant_help() +
      "\n\n"
      "All caches read the same text side by side. A step never reaches over an eviction, so "
      "every\n"
      "cache evicts where it would if the tokens were decoded one by one, each `interval` tokens;\n"
      "--chunk only says how many of those are computed at once. KL and NLL are in nats a token.\n"
      "The full cache that they are compared with has f16 rows, whatever -ctk and -ctv say; the\n"
      "policy that keeps everything is the full cache in those types.");
  command->callback([arguments] { fidelity(*arguments); });
}

}  // namespace vase::cli
