// How much what the newest queries attend to counts in vase-plus@2, the same on every backend.
#ifndef VASE_CORE_HEED_RULE_HPP
#define VASE_CORE_HEED_RULE_HPP

namespace vase {

/// The power of the attention weight. Little: with 0.25 facts that nobody has asked for yet are
/// lost (docs/results.md).
inline constexpr float kHeedPower = 0.05f;

/// Each so many-th of the newest queries says what is attended to: an eighth of the work.
inline constexpr int kHeedEvery = 8;

/// Added to the weight: a row that nobody attends to still has a score.
inline constexpr float kLeastHeed = 1e-9f;

}  // namespace vase

#endif
