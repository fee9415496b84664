#include "cli/variants.hpp"

#include <fmt/format.h>

#include <set>

#include "cli/settings_text.hpp"

namespace vase::cli {
namespace {

constexpr std::string_view kPinSuffix = "+prompt";
constexpr std::string_view kGuardSuffix = "+guard";
constexpr float kDefaultPin = 0.5f;

// Removes `suffix` from the end of `name`; false if it is not there.
bool take_suffix(std::string &name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return false;
  name.resize(name.size() - suffix.size());
  return true;
}

eval::Variant parse_variant(const std::string &text, PolicyArguments arguments,
                            std::uint64_t seed) {
  NamedSettings settings = split_settings(text);
  arguments.policy = settings.name;
  if (take_suffix(arguments.policy, kGuardSuffix)) arguments.loop_guard = true;
  if (take_suffix(arguments.policy, kPinSuffix) && arguments.pin_prompt.value_or(0.0f) == 0.0f) {
    arguments.pin_prompt = kDefaultPin;
  }
  arguments.drop_attention();  // what is common may be for others; what is its own may not
  settings.settings.insert(settings.settings.begin(), "policy=" + arguments.policy);
  CLI::App parser;
  arguments.add_to(parser);
  parse_settings(parser, settings, text);

  const bool evicts = arguments.evicts();
  if (!evicts && text != arguments.policy) {
    throw Error(fmt::format("\"{}\": the full cache has no parameters", text));
  }
  arguments.check_attention();
  const auto params = [arguments, seed](std::int32_t budget) mutable {
    arguments.budget = budget;
    return arguments.params(seed);
  };
  return {.label = text,
          .evicts = evicts,
          .pin_prompt = arguments.pinned_share(),
          .loop_guard = arguments.loop_guard,
          .params = params};
}

}  // namespace

std::vector<eval::Variant> parse_variants(const std::vector<std::string> &texts,
                                          const PolicyArguments &common, std::uint64_t seed) {
  std::vector<eval::Variant> variants;
  std::set<std::string> labels;
  for (const std::string &text : texts) {
    variants.push_back(parse_variant(text, common, seed));
    if (!labels.insert(text).second) throw Error(fmt::format("policy \"{}\" is there twice", text));
  }
  return variants;
}

}  // namespace vase::cli
