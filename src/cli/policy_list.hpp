// The policies of the library, for options, help and refusals: no command knows one by its name.
#pragma once

#include <string>
#include <vector>

#include "vase/vase.h"

namespace vase::cli {

/// In the order of the documentation.
std::vector<const vase_policy *> all_policies();
std::vector<std::string> policy_names();
/// Of the rivals that select rows, which are no policies.
std::vector<std::string> selection_names();
/// Those that look at the field of vase_params called `parameter`.
std::vector<std::string> policies_that_look_at(const char *parameter);
/// Throws Error if a file of `vase calibrate` is given ("": none) and none of `policies` needs it.
void refuse_useless_calibration(const std::string &file,
                                const std::vector<const vase_policy *> &policies);
/// Those that are compared where nobody says which: the default one, then all that evict but the
/// ablations.
std::vector<std::string> policies_to_compare();
/// The first that protects rows for the range of their values.
std::string protecting_policy();

}  // namespace vase::cli
