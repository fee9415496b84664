#include "cli/policies.hpp"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "vase/vase.h"

namespace vase::cli {
namespace {

struct PoliciesArguments {
  std::int32_t budget = 4096;
  bool json = false;
};

struct Parameter {
  const char *option;  // "" if the command line does not set it
  const char *name;
  double value;
  const char *meaning;
};

std::vector<Parameter> parameters(const vase_params &params) {
  return {
      {"--budget", "budget", static_cast<double>(params.budget), "rows that each head keeps"},
      {"--recency", "recency", static_cast<double>(params.recency),
       "newest rows, always kept (policies other than vase-plus: 64)"},
      {"--interval", "interval", static_cast<double>(params.interval),
       "rows between two evictions (policies other than vase-plus: 64)"},
      {"--window", "window", static_cast<double>(params.window),
       "attention: newest queries, by which rows are scored"},
      {"--sinks", "sinks", static_cast<double>(params.sinks),
       "first tokens of the text, always kept"},
      {"--pin-prompt", "pin_prompt", static_cast<double>(vase_policy_default_pin(params.policy)),
       "share of the budget up to which the prompt is never evicted (others: 0)"},
      {"--protect", "protect", static_cast<double>(params.protect),
       "vase: rows protected for the range of their values"},
      {"--temperature-attn", "temperature", static_cast<double>(params.temperature),
       "attention: divides the logits"},
      {"--lambda", "lambda", static_cast<double>(params.lambda),
       "rkv: attention against redundancy"},
      {"", "pooling", static_cast<double>(params.pooling), "width of the pooling of attention"},
      {"", "projections", static_cast<double>(params.projections),
       "vase-cur: columns of its projection"},
  };
}

std::vector<const vase_policy *> all_policies() {
  std::vector<const vase_policy *> policies;
  for (std::int32_t i = 0; i < vase_policy_count(); ++i) policies.push_back(vase_policy_at(i));
  return policies;
}

const char *yes_no(std::int32_t value) { return value != 0 ? "yes" : "no"; }

std::string as_text(const vase_params &defaults) {
  Table policies({"policy", "queries", "what it keeps"}, 3);
  for (const vase_policy *policy : all_policies()) {
    const char *mark = policy == vase_policy_default() ? "; the default" : "";
    policies.add({vase_policy_name(policy), yes_no(vase_policy_needs_queries(policy)),
                  fmt::format("{}{}", vase_policy_summary(policy), mark)});
  }
  Table table({"parameter", "default", "meaning"}, 3);
  for (const Parameter &parameter : parameters(defaults)) {
    const bool settable = parameter.option[0] != '\0';
    table.add({settable ? parameter.option : parameter.name, fmt::format("{}", parameter.value),
               parameter.meaning});
  }
  return fmt::format(
      "{}\nDefaults of {} at --budget {}; those without dashes are fixed. \"attention\": for "
      "policies "
      "that need queries.\n\n{}",
      policies.str(), vase_policy_name(defaults.policy), defaults.budget, table.str());
}

std::string as_json(const vase_params &defaults) {
  nlohmann::ordered_json json;
  for (const vase_policy *policy : all_policies()) {
    json["policies"].push_back({{"name", vase_policy_name(policy)},
                                {"summary", vase_policy_summary(policy)},
                                {"needs_queries", vase_policy_needs_queries(policy) != 0},
                                {"evicts", vase_policy_evicts(policy) != 0},
                                {"default", policy == vase_policy_default()}});
  }
  for (const Parameter &parameter : parameters(defaults)) {
    json["defaults"][parameter.name] = parameter.value;
  }
  return json.dump(2) + "\n";
}

void policies(const PoliciesArguments &arguments) {
  const vase_params defaults = vase_params_default(vase_policy_default(), arguments.budget);
  if (vase_params_check(&defaults) != VASE_OK) throw Error(vase_last_error());
  write_output(arguments.json ? as_json(defaults) : as_text(defaults));
}

}  // namespace

void add_policies_command(CLI::App &app) {
  CLI::App *command = app.add_subcommand("policies", "the eviction policies and their parameters");
  const auto arguments = std::make_shared<PoliciesArguments>();
  command->add_option("--budget", arguments->budget, "budget that the defaults are scaled to")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "print JSON");
  command->callback([arguments] { policies(*arguments); });
}

}  // namespace vase::cli
