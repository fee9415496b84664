#include "engine/logit_blocks.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <limits>
#include <numeric>

namespace vase::engine {
namespace {

constexpr std::size_t kBlock = 256;
constexpr std::size_t kLanes = 16;
constexpr float kNever = -std::numeric_limits<float>::infinity();

// Compilers turn lanes into vector instructions, which they do not for loops that carry one value.
using Lanes = std::array<float, kLanes>;

// Inlined into functions that are compiled for several instruction sets.
#if defined(__GNUC__)
#define VASE_INLINE [[gnu::always_inline]] inline
#else
#define VASE_INLINE inline
#endif

float largest(std::span<const float> values) {
  Lanes lanes;
  lanes.fill(kNever);
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      lanes[j] = values[i + j] > lanes[j] ? values[i + j] : lanes[j];
    }
  }
  float result = *std::ranges::max_element(lanes);
  for (; i < values.size(); ++i) result = values[i] > result ? values[i] : result;
  return result;
}

// e^x for x <= 0 in operations that every vector unit has: e^x = 2^n e^r with |r| <= ln(2) / 2, and
// the Taylor series of e^r. Relative error below 3e-7; below -80 it is as good as 0 beside 1.
VASE_INLINE float exp_nonpositive(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;  // ln(2) in two pieces
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  x = x > -80.0f ? x : -80.0f;
  const float shifted = x * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float series = 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 0.5f;
  series = series * r + 1.0f;
  series = series * r + 1.0f;
  // n lies in the lowest bits of `shifted`; shifted up, it is what 2^n adds to the exponent.
  const std::uint32_t power = std::bit_cast<std::uint32_t>(shifted) << 23;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(series) + power);
}

VASE_INLINE float sum_exp(std::span<const float> values, float max) {
  Lanes sums{};
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) sums[j] += exp_nonpositive(values[i + j] - max);
  }
  float sum = std::accumulate(sums.begin(), sums.end(), 0.0f);
  for (; i < values.size(); ++i) sum += exp_nonpositive(values[i] - max);
  return sum;
}

using SumExp = float (*)(std::span<const float> values, float max);

float sum_exp_anywhere(std::span<const float> values, float max) { return sum_exp(values, max); }

#if defined(__GNUC__) && defined(__x86_64__)
[[gnu::target("avx2,fma")]] float sum_exp_avx2(std::span<const float> values, float max) {
  return sum_exp(values, max);
}

SumExp fastest_sum_exp() {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return avx2 ? sum_exp_avx2 : sum_exp_anywhere;
}
#else
SumExp fastest_sum_exp() { return sum_exp_anywhere; }
#endif

}  // namespace

void LogitBlocks::read(std::span<const float> logits) {
  logits_ = logits;
  maxima_.resize((logits.size() + kBlock - 1) / kBlock);
  for (std::size_t b = 0; b < maxima_.size(); ++b) maxima_[b] = largest(block(b));
  max_ = largest(maxima_);
}

std::span<const float> LogitBlocks::block(std::size_t index) const {
  const std::size_t first = index * kBlock;
  return logits_.subspan(first, std::min(kBlock, logits_.size() - first));
}

llama_token LogitBlocks::argmax() const {
  const auto best = std::ranges::find(maxima_, max_);
  if (best == maxima_.end()) return 0;
  const auto index = static_cast<std::size_t>(best - maxima_.begin());
  const std::span<const float> values = block(index);
  const auto found = std::ranges::find(values, max_);
  if (found == values.end()) return 0;
  return static_cast<llama_token>(index * kBlock) +
         static_cast<llama_token>(found - values.begin());
}

// The k-th largest of the blocks' maxima: k blocks hold a token each that reaches it.
float LogitBlocks::reached_by(std::size_t k) {
  if (k > maxima_.size()) return kNever;
  ordered_ = maxima_;
  const auto kth = ordered_.begin() + static_cast<std::ptrdiff_t>(k) - 1;
  std::ranges::nth_element(ordered_, kth, std::greater{});
  return *kth;
}

double LogitBlocks::exp_sum() const {
  constexpr float kNothing = 28;  // a vocabulary of 150,000 times e^-28 is 1e-7
  static const SumExp sum_exp_of = fastest_sum_exp();
  double sum = 0;
  for (std::size_t b = 0; b < maxima_.size(); ++b) {
    if (maxima_[b] > max_ - kNothing) sum += static_cast<double>(sum_exp_of(block(b), max_));
  }
  return sum;
}

void LogitBlocks::collect(float threshold, std::vector<llama_token_data> &tokens) const {
  tokens.clear();
  for (std::size_t b = 0; b < maxima_.size(); ++b) {
    if (!(maxima_[b] >= threshold)) continue;
    auto token = static_cast<llama_token>(b * kBlock);
    for (const float logit : block(b)) {
      if (logit >= threshold) tokens.push_back({token, logit, 0.0f});
      ++token;
    }
  }
}

}  // namespace vase::engine
