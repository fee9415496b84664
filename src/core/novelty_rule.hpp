// The constants of ranking by novelty, the same for all backends.
#ifndef VASE_CORE_NOVELTY_RULE_HPP
#define VASE_CORE_NOVELTY_RULE_HPP

#include <bit>
#include <cstdint>

namespace vase {

/// A key is compared with the newer ones among so many newest rows. Every row was one of them when
/// it came, so older rows have met most that came after them (docs/results.md: 512 are no better).
inline constexpr int kNoveltyRows = 256;

/// Squared distances below this share of the keys' mean squared length count as it: the same key
/// again, but for rounding to f16.
inline constexpr float kLeastShare = 1e-6f;

/// The mean is taken over so many candidates from all over the text, at most. RoPE and rotations
/// leave lengths alone, so keys need not be turned back for it.
inline constexpr int kScaleRows = 128;

/// The candidate, by age, that is sample `i` of `count` out of `n`.
constexpr int scale_sample(int i, int count, int n) {
  return static_cast<int>(static_cast<int64_t>(i) * n / count);
}

/// In which unit keys are compared, so that it does not matter how long they are.
struct KeyScale {
  float factor = 1.0f;        ///< keys are multiplied by it: a power of two, so nothing is rounded
  float least = kLeastShare;  ///< least squared distance, in that unit
};

/// Brings keys of this mean squared length to 256 .. 1024: far from the ends of f16 and of the
/// reciprocals. 1 for keys that are all 0, or too long for f32.
constexpr KeyScale key_scale(float mean_square) {
  if (!(mean_square > 1e-30f && mean_square < 1e30f)) return {};
  const int exponent = static_cast<int>(std::bit_cast<uint32_t>(mean_square) >> 23) - 127;
  const int half = exponent >= 0 ? exponent / 2 : (exponent - 1) / 2;  // rounded down
  const float factor = std::bit_cast<float>(static_cast<uint32_t>(127 + 4 - half) << 23);
  return {factor, kLeastShare * (mean_square * (factor * factor))};
}

/// Sums of d^-6 below this, in that unit, count as this: no newer key at all.
inline constexpr float kLeastCrowd = 1e-30f;

}  // namespace vase

#endif
