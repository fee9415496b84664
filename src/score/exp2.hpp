// 2^x for x <= 0, in the operations that simd.cpp uses, so that both give the same bits.
#ifndef VASE_SCORE_EXP2_HPP
#define VASE_SCORE_EXP2_HPP

#include <bit>
#include <cmath>
#include <cstdint>

namespace vase {

/// Below this, 2^x is taken as 2^kExp2Lowest: nothing beside a sum that holds 1.
inline constexpr float kExp2Lowest = -126.0f;

/// ln(2)^k / k!, k = 7 .. 0: the Taylor series of 2^f, off by less than 6e-9 for |f| <= 1/2.
inline constexpr float kExp2Series[] = {
    1.52527338e-5f, 1.54035304e-4f, 1.33335581e-3f, 9.61812911e-3f,
    5.55041087e-2f, 2.40226507e-1f, 6.93147181e-1f, 1.0f};

/// x > 0 is not expected; NaN gives 2^kExp2Lowest.
inline float exp2_nonpositive(float x) {
  x = x > kExp2Lowest ? x : kExp2Lowest;
  const float whole = std::nearbyint(x), f = x - whole;
  float series = kExp2Series[0];
  for (int k = 1; k < 8; ++k) series = std::fma(series, f, kExp2Series[k]);
  return series * std::bit_cast<float>((static_cast<int32_t>(whole) + 127) << 23);
}

}  // namespace vase

#endif
