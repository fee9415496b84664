// When a value range is wide enough to be protected, and how many rows may be: the numbers of
// `--protect auto`, the same on every backend.
#ifndef VASE_CORE_WIDTH_RULE_HPP
#define VASE_CORE_WIDTH_RULE_HPP

#include <cstdint>

namespace vase {

/// A range is wide that lies above the median less half a standard deviation, estimated as 1.4826
/// median absolute deviations: all but those that are clearly narrow (docs/results.md says why).
inline constexpr float kWideAbove = -0.5f * 1.4826f;

/// Is a range that lies `above` the median wide? One product and one comparison, so that no
/// compiler can round it in another way.
constexpr bool is_wide(float above, float median_deviation) {
  return above > kWideAbove * median_deviation;
}

/// The median's place among `n` numbers in ascending order: of an even number of them the lower of
/// the middle two, so that it is one of them and nothing is rounded.
constexpr int32_t median_place(int32_t n) { return (n - 1) / 2; }

/// Brings the number of protected rows within B/32 .. 7B/8: some always, and never so many that
/// nothing is left to choose.
constexpr int32_t bound_protection(int32_t rows, int32_t budget) {
  const int32_t least = budget / 32, most = budget - budget / 8;
  return rows < least ? least : rows > most ? most : rows;
}

}  // namespace vase

#endif
