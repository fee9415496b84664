#include "policy/policies.hpp"

// One line a policy, in the order of the documentation: its function NAME_policy_instance() is
// defined in a file of this folder.
#define VASE_POLICIES(POLICY) \
  POLICY(vase)                \
  POLICY(vase_plus)           \
  POLICY(vase_plus_2)         \
  POLICY(vase_cur)            \
  POLICY(snapkv)              \
  POLICY(rkv)                 \
  POLICY(h2o)                 \
  POLICY(keydiff)             \
  POLICY(triattention)        \
  POLICY(streaming)           \
  POLICY(random)              \
  POLICY(evict_large)         \
  POLICY(attention_random)    \
  POLICY(full)

namespace vase {

#define VASE_DECLARE(name) const Policy& name##_policy_instance();
VASE_POLICIES(VASE_DECLARE)

std::span<const Policy* const> all_policies() {
#define VASE_LIST(name) &name##_policy_instance(),
  static const Policy* const policies[] = {VASE_POLICIES(VASE_LIST)};
  return policies;
}

const Policy& default_policy() { return vase_plus_policy_instance(); }

const Policy& full_policy() { return full_policy_instance(); }

const Policy* find_policy(std::string_view name) {
  for (const Policy* policy : all_policies())
    if (name == policy->name()) return policy;
  return nullptr;
}

}  // namespace vase
