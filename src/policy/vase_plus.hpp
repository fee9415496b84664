// What vase-plus and vase-plus@2 share: the parts of their scores, and what they are otherwise.
#ifndef VASE_POLICY_VASE_PLUS_HPP
#define VASE_POLICY_VASE_PLUS_HPP

#include <span>

#include "policy/policy.hpp"

namespace vase {

/// Keys before RoPE, the prompt pinned, an own pace; without kernels.
Traits vase_plus_traits();

/// Of all candidates the novelty of the key, before RoPE, and the distance of the value from the
/// mean. What is taken of the arena stays taken. of_keys, of_values: [n].
void score_parts(const Head& head, const Workbench& bench, std::span<float> of_keys,
                 std::span<float> of_values);
/// Bytes that score_parts() takes from the arena.
size_t score_parts_bytes(const vase_layer& layer);

}  // namespace vase

#endif
