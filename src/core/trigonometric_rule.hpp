// How far ahead TriAttention looks, the same for all backends.
#ifndef VASE_CORE_TRIGONOMETRIC_RULE_HPP
#define VASE_CORE_TRIGONOMETRIC_RULE_HPP

namespace vase {

/// A row is scored for queries 2^0, 2^1, ... 2^(kOffsets - 1) tokens behind the coming one, as
/// published (offset_max_length 65,536).
inline constexpr int kOffsets = 17;

/// Standard deviations below this count as this.
inline constexpr float kLeastDeviation = 1e-6f;

}  // namespace vase

#endif
