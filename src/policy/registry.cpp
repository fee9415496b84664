#include "policy/policies.hpp"

namespace vase {

std::span<const Policy* const> all_policies() {
  static const Policy* const policies[] = {
      &vase_policy_instance(),
      &vase_plus_policy_instance(),
      &vase_cur_policy_instance(),
      &snapkv_policy_instance(),
      &rkv_policy_instance(),
      &streaming_policy_instance(),
      &random_policy_instance(),
      &evict_large_policy_instance(),
      &attention_random_policy_instance(),
      &full_policy_instance(),
  };
  return policies;
}

const Policy& default_policy() { return vase_plus_policy_instance(); }

const Policy* find_policy(std::string_view name) {
  for (const Policy* policy : all_policies())
    if (name == policy->name()) return policy;
  return nullptr;
}

}  // namespace vase
