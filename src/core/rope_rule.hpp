// The phases of RoPE, the same for all backends.
#ifndef VASE_CORE_ROPE_RULE_HPP
#define VASE_CORE_ROPE_RULE_HPP

#include <cstdint>

namespace vase {

/// `frequency` (radians a token, vase_rope) in units of 2^-32 turns a token. Multiplied with a
/// token position it overflows by whole turns, so what is left is the phase, however long the text.
/// What is no frequency (negative, or beyond 2^31 turns a token) turns nothing.
constexpr uint32_t rope_step(float frequency) {
  if (!(frequency >= 0 && frequency < 1e10f)) return 0;
  constexpr double kUnits = 4294967296.0 / 6.283185307179586;
  const double units = static_cast<double>(frequency) * kUnits;
  // Frequencies are not negative, and std::lround is not constexpr.
  return static_cast<uint32_t>(
      static_cast<int64_t>(units + 0.5));  // NOLINT(bugprone-incorrect-roundings)
}

/// By how many turns, in [-0.5, 0.5), the pair of `step` was turned in the row of token `position`.
constexpr float rope_turns(uint32_t step, int32_t position) {
  return static_cast<float>(static_cast<int32_t>(step * static_cast<uint32_t>(position))) *
         0x1p-32f;
}

}  // namespace vase

#endif
