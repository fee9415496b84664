// Sine and cosine of an angle in turns, in the operations that simd.cpp uses, so that both give the
// same bits.
#ifndef VASE_SCORE_SINE_HPP
#define VASE_SCORE_SINE_HPP

#include <cmath>

namespace vase {

inline constexpr float kRadians = 6.28318531f;  // of a turn

/// (-1)^k / (2k + 1)! and (-1)^k / (2k)!, k = 6 .. 0: the Taylor series of sin(x) / x and cos(x) in
/// x^2, off by less than 7e-9 for |x| <= pi / 2.
inline constexpr int kSineTerms = 7;
inline constexpr float kSineSeries[kSineTerms] = {1.60590438e-10f,
                                                  -2.50521084e-8f,
                                                  2.75573192e-6f,
                                                  -1.98412698e-4f,
                                                  8.33333333e-3f,
                                                  -1.66666667e-1f,
                                                  1.0f};
inline constexpr float kCosineSeries[kSineTerms] = {
    2.08767570e-9f, -2.75573192e-7f, 2.48015873e-5f, -1.38888889e-3f, 4.16666667e-2f, -0.5f, 1.0f};

struct SineCosine {
  float sine, cosine;
};

/// turns: in [-0.5, 0.5].
inline SineCosine sine_cosine(float turns) {
  const float half_turns = std::nearbyint(2 * turns);  // -1, 0 or 1; each turns the sign
  const float sign = std::fma(-2 * half_turns, half_turns, 1.0f);
  const float x = std::fma(half_turns, -0.5f, turns) * kRadians, square = x * x;
  float sine = kSineSeries[0], cosine = kCosineSeries[0];
  for (int k = 1; k < kSineTerms; ++k) {
    sine = std::fma(sine, square, kSineSeries[k]);
    cosine = std::fma(cosine, square, kCosineSeries[k]);
  }
  return {sign * (sine * x), sign * cosine};
}

}  // namespace vase

#endif
