#include "policy/traits.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace vase {
namespace {

constexpr std::array<std::pair<std::string_view, Parameter>, 7> kOfSome = {{
    {"window", kWindow},
    {"pooling", kPooling},
    {"temperature", kTemperature},
    {"protect", kProtect},
    {"lambda", kLambda},
    {"projections", kProjections},
    {"resample", kResample},
}};
constexpr std::array<std::string_view, 5> kOfAll = {"budget", "recency", "interval", "sinks",
                                                    "pin_prompt"};

bool draws(const Traits& traits) {
  return traits.choice == Choice::kDraw || traits.protect == Protect::kRandom ||
         (traits.parameters & kProjections) != 0;
}

}  // namespace

bool looks_at(const Traits& traits, std::string_view name) {
  if (!traits.evicts) return false;
  if (name == "seed") return draws(traits);
  if (std::ranges::find(kOfAll, name) != kOfAll.end()) return true;
  const auto* known = std::ranges::find(kOfSome, name, &decltype(kOfSome)::value_type::first);
  return known != kOfSome.end() && (traits.parameters & known->second) != 0;
}

}  // namespace vase
