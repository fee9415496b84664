#include "cli/policy_list.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "core/selection.hpp"
#include "vase/llama.hpp"

namespace vase::cli {
namespace {

template <typename Wanted>
std::vector<std::string> names_of(const Wanted &wanted) {
  std::vector<std::string> names;
  for (const vase_policy *policy : all_policies()) {
    if (wanted(policy)) names.emplace_back(vase_policy_name(policy));
  }
  return names;
}

}  // namespace

std::vector<const vase_policy *> all_policies() {
  std::vector<const vase_policy *> policies;
  for (std::int32_t i = 0; i < vase_policy_count(); ++i) policies.push_back(vase_policy_at(i));
  return policies;
}

std::vector<std::string> policy_names() {
  return names_of([](const vase_policy *) { return true; });
}

std::vector<std::string> selection_names() {
  std::vector<std::string> names;
  for (const NamedSelection &selection : kSelections) names.emplace_back(selection.name);
  return names;
}

std::vector<std::string> policies_that_look_at(const char *parameter) {
  return names_of([parameter](const vase_policy *policy) {
    return vase_policy_looks_at(policy, parameter) != 0;
  });
}

void refuse_useless_calibration(const std::string &file,
                                const std::vector<const vase_policy *> &policies) {
  const auto needs = [](const vase_policy *policy) {
    return vase_policy_needs_calibration(policy) != 0;
  };
  if (file.empty() || std::ranges::any_of(policies, needs)) return;
  throw Error(fmt::format(
      "--calibration {}: {} needs none; leave it out, or take {}", file,
      policies.size() == 1 ? vase_policy_name(policies.front()) : "none of these policies",
      fmt::join(names_of(needs), ", ")));
}

std::vector<std::string> policies_to_compare() {
  std::vector<std::string> names = names_of([](const vase_policy *policy) {
    return vase_policy_evicts(policy) != 0 && vase_policy_is_ablation(policy) == 0 &&
           vase_policy_needs_calibration(policy) == 0 && policy != vase_policy_default();
  });
  names.insert(names.begin(), vase_policy_name(vase_policy_default()));
  return names;
}

std::string protecting_policy() {
  const std::vector<std::string> names =
      names_of([](const vase_policy *policy) { return vase_policy_protects_widest(policy) != 0; });
  return names.empty() ? "" : names.front();
}

}  // namespace vase::cli
