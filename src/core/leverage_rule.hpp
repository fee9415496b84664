// The constants of what vase-plus ranks by, the same for all backends.
#ifndef VASE_CORE_LEVERAGE_RULE_HPP
#define VASE_CORE_LEVERAGE_RULE_HPP

namespace vase {

/// Below this, a leverage counts as this: a row whose key or value is the mean is still told apart
/// by the other.
inline constexpr float kLowestLeverage = 1e-9f;

/// What is added to the diagonal of a Gram matrix [dim][dim]: the mean of its diagonal (measured
/// against a tenth and a hundredth of it: docs/results.md), which bounds the condition number by
/// dim + 1, so that f32 rows suffice; and a little for rows that are all alike.
constexpr double ridge_of(double trace, int dim) { return trace / dim + 1e-6; }

/// A key is compared with the newer ones among so many newest rows. Every row was one of them when
/// it came, so older rows have met all that came after them (docs/results.md: as good as all rows).
inline constexpr int kNoveltyRows = 256;

/// NaN stays NaN.
constexpr float bounded_leverage(float leverage) {
  return leverage < kLowestLeverage ? kLowestLeverage : leverage;
}

}  // namespace vase

#endif
