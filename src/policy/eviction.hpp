// One eviction of one KV head, the same for all policies: who is a candidate, who is safe, who is
// chosen.
#ifndef VASE_POLICY_EVICTION_HPP
#define VASE_POLICY_EVICTION_HPP

#include <span>

#include "core/arena.hpp"
#include "policy/policy.hpp"

namespace vase {

/// Sets keep[n_rows] to 1 for the rows that stay: the recency window, sinks, pinned rows, the
/// policy's protected rows and its choice; min(n_rows, budget) in all. Of a policy that sums up,
/// layer.sums gains what it found (if rows are chosen at all). Arguments are checked by the caller.
void select_head(const Policy& policy, const vase_params& params, const vase_layer& layer,
                 int32_t head, const Kernels& kernels, Arena arena, std::span<uint8_t> keep);

/// Writes scores[n_rows]: +infinity for rows outside the choice, the policy's scores for the
/// others.
void score_head(const Policy& policy, const vase_params& params, const vase_layer& layer,
                int32_t head, const Kernels& kernels, Arena arena, std::span<float> scores);

/// How many candidates the policy protects from the choice, beside sinks and pinned rows.
int32_t protected_in_head(const Policy& policy, const vase_params& params, const vase_layer& layer,
                          int32_t head, const Kernels& kernels, Arena arena);

/// Writes ranges[n_rows]: the value range of each row, in the order of rows.
void value_ranges_of_head(const vase_layer& layer, int32_t head, const Kernels& kernels,
                          Arena arena, std::span<float> ranges);

/// Bytes of workspace that one call of any of these takes.
size_t eviction_workspace(const Policy& policy, const vase_params& params, const vase_layer& layer);

}  // namespace vase

#endif
