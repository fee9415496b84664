#include "eval/table_order.hpp"

#include "eval/budget.hpp"
#include "vase/vase.h"

namespace vase::eval {
namespace {

bool is_full(const std::string &label) { return label == vase_policy_name(vase_policy_full()); }

}  // namespace

double budget_order(const std::string &label) {
  if (is_full(label)) return 0;
  const Budget budget = parse_budget(label);
  if (budget.of_prompt) return 1e3;  // behind the multiples
  return budget.divisor > 0 ? budget.divisor : 2e9 - budget.rows;
}

std::int32_t policy_order(const std::string &label) {
  if (is_full(label)) return -1;
  const std::string name = label.substr(0, label.find_first_of("+:"));
  for (std::int32_t i = 0; i < vase_policy_count(); ++i) {
    if (name == vase_policy_name(vase_policy_at(i))) return i;
  }
  return vase_policy_count();
}

std::string usual_base(const std::set<std::string> &policies) {
  // The first of all policies is VaSE as published.
  for (const vase_policy *policy : {vase_policy_at(0), vase_policy_default()}) {
    if (policies.contains(vase_policy_name(policy))) return vase_policy_name(policy);
  }
  return {};
}

}  // namespace vase::eval
