// 1 / x without a division, in the operations that simd.cpp uses, so that both give the same bits.
#ifndef VASE_SCORE_RECIPROCAL_HPP
#define VASE_SCORE_RECIPROCAL_HPP

#include <bit>
#include <cmath>
#include <cstdint>

namespace vase {

/// Less the bits of x > 0, the bits of 1 / x, off by an eighth at most.
inline constexpr int32_t kReciprocalBits = 0x7ef311c7;
/// Each step of Newton's method squares that error: the third leaves rounding.
inline constexpr int kReciprocalSteps = 3;

/// For 1e-18 < x < 1e18; NaN stays NaN.
inline float reciprocal(float x) {
  float y = std::bit_cast<float>(kReciprocalBits - std::bit_cast<int32_t>(x));
  for (int step = 0; step < kReciprocalSteps; ++step) y *= std::fma(-x, y, 2.0f);
  return y;
}

}  // namespace vase

#endif
