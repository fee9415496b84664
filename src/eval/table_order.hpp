// In which order tables list budgets and policies, and which policy is the base.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace vase::eval {

/// Rises from the full cache to ever smaller ones: multiples first, then the prompt's length, then
/// rows. Throws Error if `label` is no budget.
double budget_order(const std::string &label);

/// As the registry lists them, the full cache first. `label`: with its suffixes.
std::int32_t policy_order(const std::string &label);

/// The policy to compare with where nobody says which: VaSE as published, else the default policy,
/// whichever is among `policies`; else "".
std::string usual_base(const std::set<std::string> &policies);

}  // namespace vase::eval
