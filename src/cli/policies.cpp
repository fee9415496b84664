#include "cli/policies.hpp"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/output.hpp"
#include "cli/policy_list.hpp"
#include "cli/table.hpp"
#include "core/selection.hpp"
#include "vase/vase.h"

namespace vase::cli {
namespace {

struct PoliciesArguments {
  std::string policy = vase_policy_name(vase_policy_default());
  std::int32_t budget = 4096;
  bool json = false;
};

struct Parameter {
  const char *option;  // "" if the command line does not set it
  const char *name;    // in vase_params
  double value;
  const char *meaning;
};

std::vector<Parameter> parameters(const vase_params &params) {
  return {
      {"--budget", "budget", static_cast<double>(params.budget), "rows that each head keeps"},
      {"--recency", "recency", static_cast<double>(params.recency), "newest rows, always kept"},
      {"--interval", "interval", static_cast<double>(params.interval),
       "rows between two evictions"},
      {"--sinks", "sinks", static_cast<double>(params.sinks),
       "first tokens of the text, always kept"},
      {"--pin-prompt", "pin_prompt", static_cast<double>(vase_policy_default_pin(params.policy)),
       "share of the budget up to which the prompt is never evicted"},
      {"--window", "window", static_cast<double>(params.window),
       "newest queries, by which rows are scored"},
      {"--temperature-attn", "temperature", static_cast<double>(params.temperature),
       "divides the attention logits"},
      {"", "pooling", static_cast<double>(params.pooling), "width of the pooling of attention"},
      {"--protect", "protect", static_cast<double>(params.protect),
       "rows protected for the range of their values"},
      {"--lambda", "lambda", static_cast<double>(params.lambda), "attention against redundancy"},
      {"", "projections", static_cast<double>(params.projections), "columns of the projection"},
  };
}

// Who looks at a parameter: "all" that evict, or their names.
std::string lookers(const char *parameter) {
  const std::vector<std::string> names = policies_that_look_at(parameter);
  return names == policies_that_look_at("budget") ? "all"
                                                  : fmt::format("{}", fmt::join(names, ", "));
}

const char *yes_no(std::int32_t value) { return value != 0 ? "yes" : "no"; }

std::string as_text(const vase_params &defaults) {
  Table policies({"policy", "queries", "what it keeps"}, 3);
  for (const vase_policy *policy : all_policies()) {
    const char *mark = policy == vase_policy_default() ? "; the default" : "";
    policies.add({vase_policy_name(policy), yes_no(vase_policy_needs_queries(policy)),
                  fmt::format("{}{}", vase_policy_summary(policy), mark)});
  }
  for (const NamedSelection &selection : kSelections)
    policies.add({selection.name, yes_no(1), selection.summary});
  Table table({"parameter", "default", "meaning", "looked at by"}, 4);
  for (const Parameter &parameter : parameters(defaults)) {
    const bool settable = parameter.option[0] != '\0';
    const bool looked_at = vase_policy_looks_at(defaults.policy, parameter.name) != 0;
    table.add({settable ? parameter.option : parameter.name,
               looked_at ? fmt::format("{}", parameter.value) : "-", parameter.meaning,
               lookers(parameter.name)});
  }
  return fmt::format(
      "{}\nDefaults of {} at --budget {} (--policy shows another's); those without dashes are "
      "fixed, and - stands where it does not look at one.\n\n{}",
      policies.str(), vase_policy_name(defaults.policy), defaults.budget, table.str());
}

std::string as_json(const vase_params &defaults) {
  nlohmann::ordered_json json;
  for (const vase_policy *policy : all_policies()) {
    nlohmann::ordered_json looks_at = nlohmann::ordered_json::array();
    for (const Parameter &parameter : parameters(defaults)) {
      if (vase_policy_looks_at(policy, parameter.name) != 0) looks_at.push_back(parameter.name);
    }
    json["policies"].push_back({{"name", vase_policy_name(policy)},
                                {"summary", vase_policy_summary(policy)},
                                {"needs_queries", vase_policy_needs_queries(policy) != 0},
                                {"needs_calibration", vase_policy_needs_calibration(policy) != 0},
                                {"evicts", vase_policy_evicts(policy) != 0},
                                {"ablation", vase_policy_is_ablation(policy) != 0},
                                {"looks_at", looks_at},
                                {"default", policy == vase_policy_default()}});
  }
  for (const NamedSelection &selection : kSelections)
    json["selections"].push_back({{"name", selection.name}, {"summary", selection.summary}});
  for (const Parameter &parameter : parameters(defaults)) {
    json["defaults"][parameter.name] = parameter.value;
  }
  return json.dump(2) + "\n";
}

void policies(const PoliciesArguments &arguments) {
  const vase_params defaults =
      vase_params_default(vase_policy_find(arguments.policy.c_str()), arguments.budget);
  if (vase_params_check(&defaults) != VASE_OK) throw Error(vase_last_error());
  write_output(arguments.json ? as_json(defaults) : as_text(defaults));
}

}  // namespace

void add_policies_command(CLI::App &app) {
  CLI::App *command = app.add_subcommand("policies", "the eviction policies and their parameters");
  const auto arguments = std::make_shared<PoliciesArguments>();
  command->add_option("--policy", arguments->policy, "whose defaults are shown")
      ->check(known_policy())
      ->capture_default_str();
  command->add_option("--budget", arguments->budget, "budget that the defaults are scaled to")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "print JSON");
  command->callback([arguments] { policies(*arguments); });
}

}  // namespace vase::cli
