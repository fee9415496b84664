// The policies there are. A new one is a file beside this, a declaration here and a line in
// registry.cpp.
#ifndef VASE_POLICY_POLICIES_HPP
#define VASE_POLICY_POLICIES_HPP

#include <span>
#include <string_view>

#include "policy/policy.hpp"

namespace vase {

const Policy& vase_policy_instance();
const Policy& vase_plus_policy_instance();
const Policy& vase_cur_policy_instance();
const Policy& snapkv_policy_instance();
const Policy& rkv_policy_instance();
const Policy& streaming_policy_instance();
const Policy& random_policy_instance();
const Policy& evict_large_policy_instance();
const Policy& attention_random_policy_instance();
const Policy& full_policy_instance();

/// All policies, in the order of the documentation.
std::span<const Policy* const> all_policies();

/// The one to take where nobody says which: docs/results.md compares them.
const Policy& default_policy();

/// The policy called `name`, or null.
const Policy* find_policy(std::string_view name);

}  // namespace vase

#endif
