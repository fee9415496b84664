// When a value range is an outlier, and how many rows may be protected for it: the numbers of
// `--protect auto`, the same on every backend.
#ifndef VASE_CORE_OUTLIER_RULE_HPP
#define VASE_CORE_OUTLIER_RULE_HPP

#include <cstdint>

namespace vase {

/// An outlier lies this many median absolute deviations above the median: three standard
/// deviations, which are 1.4826 median absolute deviations each if the numbers are normal.
inline constexpr float kOutlierDeviations = 3 * 1.4826f;

/// Is a number that lies `above` the median an outlier? One product and one comparison, so that no
/// compiler can round it in another way.
constexpr bool is_outlier(float above, float median_deviation) {
  return above > kOutlierDeviations * median_deviation;
}

/// The median's place among `n` numbers in ascending order: of an even number of them the lower of
/// the middle two, so that it is one of them and nothing is rounded.
constexpr int32_t median_place(int32_t n) { return (n - 1) / 2; }

/// Brings the number of protected rows within B/32 .. B/2: some always, and never so many that
/// nothing is left to choose.
constexpr int32_t bound_protection(int32_t rows, int32_t budget) {
  const int32_t least = budget / 32, most = budget / 2;
  return rows < least ? least : rows > most ? most : rows;
}

}  // namespace vase

#endif
