// The constants of the leverage that vase-plus ranks by, the same for all backends.
#ifndef VASE_CORE_LEVERAGE_RULE_HPP
#define VASE_CORE_LEVERAGE_RULE_HPP

namespace vase {

/// Below this, a leverage counts as this: its logarithm stays finite for a row that is the mean.
inline constexpr float kLowestLeverage = 1e-9f;

/// A deviation of logarithms below this counts as this: leverages that lie within a twentieth of
/// each other are alike, and what rounding makes of them is not worth a choice.
inline constexpr double kLowestDeviation = 0.05;

/// What is added to the diagonal of a Gram matrix [dim][dim]: the mean of its diagonal (measured
/// against a tenth and a hundredth of it: docs/results.md), which bounds the condition number by
/// dim + 1, so that f32 rows suffice; and a little for rows that are all alike.
constexpr double ridge_of(double trace, int dim) { return trace / dim + 1e-6; }

/// NaN stays NaN.
constexpr float bounded_leverage(float leverage) {
  return leverage < kLowestLeverage ? kLowestLeverage : leverage;
}

}  // namespace vase

#endif
