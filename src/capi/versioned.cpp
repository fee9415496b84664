#include "capi/versioned.hpp"

namespace vase {

vase_status read_params(const vase_params* given, vase_params& out) {
  if (given == nullptr) return fail(VASE_INVALID_ARGUMENT, "params is null");
  constexpr size_t kLeast = offsetof(vase_params, budget) + sizeof(int32_t);
  // Defaults hang on the policy and the budget, which every version has.
  vase_params named{};
  if (const vase_status status = read_versioned("params", "vase_params", given, kLeast, named))
    return status;
  out = vase_params_default(named.policy, named.budget);
  return read_versioned("params", "vase_params", given, kLeast, out);
}

vase_status read_layer(const vase_layer* given, vase_layer& out) {
  if (given == nullptr) return fail(VASE_INVALID_ARGUMENT, "layer is null");
  out = vase_layer{};
  return read_versioned("layer", "vase_layer", given, kLeastLayer, out);
}

}  // namespace vase
