#include "server/offered_policies.hpp"

#include <cstdint>

#include "server/json.hpp"

namespace vase::server {

bool is_offered(const RequestRules &rules, const vase_policy *policy) {
  if (vase_policy_evicts(policy) != vase_policy_evicts(rules.policy.policy)) return false;
  if (vase_policy_needs_calibration(policy) != 0 && !rules.calibrated) return false;
  return rules.keeps_queries || vase_policy_needs_queries(policy) == 0;
}

std::string policies_json(const RequestRules &rules) {
  OrderedJson policies = OrderedJson::array();
  for (std::int32_t i = 0; i < vase_policy_count(); ++i) {
    const vase_policy *policy = vase_policy_at(i);
    policies.push_back({{"name", vase_policy_name(policy)},
                        {"summary", vase_policy_summary(policy)},
                        {"ablation", vase_policy_is_ablation(policy) != 0},
                        {"offered", is_offered(rules, policy)}});
  }
  return dump({{"policies", std::move(policies)}});
}

std::string policy_that_offers_all() {
  for (std::int32_t i = 0; i < vase_policy_count(); ++i) {
    const vase_policy *policy = vase_policy_at(i);
    if (vase_policy_needs_queries(policy) != 0) return vase_policy_name(policy);
  }
  return vase_policy_name(vase_policy_default());
}

}  // namespace vase::server
