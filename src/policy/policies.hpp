// The policies there are. A new one is a file beside this and a line in registry.cpp.
#ifndef VASE_POLICY_POLICIES_HPP
#define VASE_POLICY_POLICIES_HPP

#include <span>
#include <string_view>

#include "policy/policy.hpp"

namespace vase {

/// All policies, in the order of the documentation: VaSE as published comes first.
std::span<const Policy* const> all_policies();

/// The one to take where nobody says which: docs/results.md compares them.
const Policy& default_policy();

/// The one that keeps everything.
const Policy& full_policy();

/// The policy called `name`, or null.
const Policy* find_policy(std::string_view name);

}  // namespace vase

#endif
