#include "cli/variants.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/policy_list.hpp"
#include "cli/settings_text.hpp"
#include "core/selection.hpp"

namespace vase::cli {
namespace {

constexpr std::string_view kPinSuffix = "+prompt";
constexpr std::string_view kNoPinSuffix = "+noprompt";
constexpr std::string_view kFirstSuffix = "+first";
constexpr std::string_view kGuardSuffix = "+guard";
constexpr float kDefaultPin = 0.5f;

// Removes `suffix` from the end of `name`; false if it is not there.
bool take_suffix(std::string &name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return false;
  name.resize(name.size() - suffix.size());
  return true;
}

// "NAME+prompt:sinks=0": NAME.
std::string policy_of(const std::string &text) {
  std::string name = split_settings(text).name;
  take_suffix(name, kGuardSuffix);
  take_suffix(name, kFirstSuffix);
  take_suffix(name, kPinSuffix);
  take_suffix(name, kNoPinSuffix);
  return name;
}

// A selection has nothing to set.
eval::Variant selecting_variant(const std::string &text, Selection selection) {
  const std::string name = name_of(selection);
  if (text != name)
    throw Error(
        fmt::format("\"{}\": {} evicts nothing and has no parameters but its budget: take "
                    "\"{}\"",
                    text, name, name));
  return {.label = text,
          .policy = vase_policy_full(),
          .evicts = false,
          .selection = selection,
          .params = [](std::int32_t budget) {
            return vase_params_default(vase_policy_full(), budget);
          }};
}

eval::Variant parse_variant(const std::string &text, PolicyArguments arguments,
                            std::uint64_t seed) {
  if (const auto selection = find_selection(policy_of(text)); selection)
    return selecting_variant(text, *selection);
  NamedSettings settings = split_settings(text);
  arguments.policy = settings.name;
  if (take_suffix(arguments.policy, kGuardSuffix)) arguments.loop_guard = true;
  const bool pins_first_alone = take_suffix(arguments.policy, kFirstSuffix);
  if ((take_suffix(arguments.policy, kPinSuffix) || pins_first_alone) &&
      arguments.pin_prompt.value_or(0.0f) == 0.0f) {
    arguments.pin_prompt = kDefaultPin;
  }
  if (take_suffix(arguments.policy, kNoPinSuffix)) arguments.pin_prompt = 0.0f;
  arguments.drop_unused();  // what is common may be for others; what is its own may not
  settings.settings.insert(settings.settings.begin(), "policy=" + arguments.policy);
  CLI::App parser;
  arguments.add_to(parser);
  parse_settings(parser, settings, text);

  const bool evicts = arguments.evicts();
  if (!evicts && text != arguments.policy) {
    throw Error(fmt::format("\"{}\": the full cache has no parameters", text));
  }
  arguments.check_parameters();
  const auto params = [arguments, evicts, seed](std::int32_t budget) mutable {
    if (!evicts) return vase_params_default(vase_policy_full(), budget);
    arguments.budget = budget;
    return arguments.params(seed);
  };
  return {.label = text,
          .policy = vase_policy_find(arguments.policy.c_str()),
          .evicts = evicts,
          .pin_prompt = arguments.pinned_share(),
          .pins_first_alone = pins_first_alone,
          .loop_guard = arguments.loop_guard,
          .params = params};
}

// What is said for all policies must matter to one of them.
void check_common(const PolicyArguments &common, const std::vector<std::string> &texts) {
  for (const PolicyArguments::Given &one : common.given()) {
    const bool looked_at = std::ranges::any_of(texts, [&](const std::string &text) {
      return vase_policy_looks_at(vase_policy_find(policy_of(text).c_str()), one.parameter) != 0;
    });
    if (looked_at) continue;
    throw Error(
        fmt::format("none of these policies looks at {}: leave it out, or add one that "
                    "does: {}",
                    one.option, fmt::join(policies_that_look_at(one.parameter), ", ")));
  }
}

}  // namespace

std::string variant_help() {
  return fmt::format(
      "A policy is a name of `vase policies`. \"+prompt\" behind it pins the prompt (to half of "
      "the\n"
      "budget unless --pin-prompt says otherwise), \"+first\" the first of a conversation alone, "
      "\"+guard\" behind that acts in the cache when "
      "the\n"
      "text begins to repeat itself, and \":name=value\" sets a parameter for it alone:\n"
      "{0}:protect=50%:recency=128, {1}+prompt, {0}+prompt+guard, {1}:pin-prompt=0.25.\n"
      "The selections {2} keep the whole cache and bound the rows that a step reads.",
      protecting_policy(), policies_to_compare().back(), fmt::join(selection_names(), ", "));
}

std::vector<eval::Variant> parse_variants(const std::vector<std::string> &texts,
                                          const PolicyArguments &common, std::uint64_t seed) {
  std::vector<eval::Variant> variants;
  std::set<std::string> labels;
  for (const std::string &text : texts) {
    variants.push_back(parse_variant(text, common, seed));
    if (!labels.insert(text).second) throw Error(fmt::format("policy \"{}\" is there twice", text));
  }
  check_common(common, texts);
  return variants;
}

}  // namespace vase::cli
