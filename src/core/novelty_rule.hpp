// The constants of ranking by novelty, the same for all backends.
#ifndef VASE_CORE_NOVELTY_RULE_HPP
#define VASE_CORE_NOVELTY_RULE_HPP

namespace vase {

/// A key is compared with the newer ones among so many newest rows. Every row was one of them when
/// it came, so older rows have met most that came after them (docs/results.md: 512 are no better).
inline constexpr int kNoveltyRows = 256;

/// Squared distances below this count as this: the same key again, but for rounding.
inline constexpr float kLeastDistance = 1e-3f;

/// And sums of d^-6 below this: no newer key at all.
inline constexpr float kLeastCrowd = 1e-30f;

}  // namespace vase

#endif
