// Checks of what callers hand in. Everything below the C interface may then rely on it.
#ifndef VASE_CAPI_CHECK_HPP
#define VASE_CAPI_CHECK_HPP

#include "policy/policy.hpp"
#include "vase/vase.h"

namespace vase {

/// Records the message for vase_last_error and returns `status`.
vase_status fail(vase_status status, const char* format, ...) __attribute__((format(printf, 2, 3)));

/// The last message of this thread.
const char* last_error();

/// The policy behind the C handle.
inline const Policy& policy_of(const vase_params& params) {
  return *reinterpret_cast<const Policy*>(params.policy);
}

/// That there is a policy behind the handle: it is neither null nor anything else.
vase_status check_policy(const vase_policy* policy);
/// Ranges, and that the budget holds sinks and recency window.
vase_status check_params(const vase_params& params);
/// The rows, whatever is done with them.
vase_status check_layer(const vase_layer& layer);
/// That `params.policy` finds in the layer what it needs.
vase_status check_fit(const vase_params& params, const vase_layer& layer);
vase_status check_heads(const vase_layer& layer, int32_t head_first, int32_t head_count);

}  // namespace vase

#endif
