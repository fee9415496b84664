#include "cli/variants.hpp"

#include <fmt/format.h>

#include <set>

#include "cli/settings_text.hpp"

namespace vase::cli {
namespace {

constexpr std::string_view kPinSuffix = "+prompt";
constexpr float kDefaultPin = 0.5f;

eval::Variant parse_variant(const std::string &text, PolicyArguments arguments,
                            std::uint64_t seed) {
  NamedSettings settings = split_settings(text);
  arguments.policy = settings.name;
  if (settings.name.ends_with(kPinSuffix)) {
    arguments.policy.resize(settings.name.size() - kPinSuffix.size());
    if (arguments.pin_prompt == 0.0f) arguments.pin_prompt = kDefaultPin;
  }
  settings.settings.insert(settings.settings.begin(), "policy=" + arguments.policy);
  CLI::App parser;
  arguments.add_to(parser);
  parse_settings(parser, settings, text);

  const bool evicts = arguments.evicts();
  if (!evicts && text != arguments.policy) {
    throw Error(fmt::format("\"{}\": the full cache has no parameters", text));
  }
  const auto params = [arguments, seed](std::int32_t budget) mutable {
    arguments.budget = budget;
    return arguments.params(seed);
  };
  return {.label = text,
          .evicts = evicts,
          .pin_prompt = evicts ? arguments.pin_prompt : 0.0f,
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
