// Whether two backends chose the same rows: exactly, or but for rows whose ranking is a near-tie.
#ifndef VASE_TESTS_CUDA_SAME_CHOICE_HPP
#define VASE_TESTS_CUDA_SAME_CHOICE_HPP

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "core/philox.hpp"
#include "support/selection.hpp"

namespace vase::testing {

/// Sums of f32 differ by their order: scores within this of each other may change places.
constexpr double kNearTie = 1e-4;
/// The device rounds keys before RoPE to f16 (cuda/upright.hpp).
constexpr double kRoundedNearTie = 1e-3;

inline double near_tie(const vase_params& params) {
  const bool rounded = std::string_view(vase_policy_name(params.policy)).starts_with("vase-plus");
  return rounded ? kRoundedNearTie : kNearTie;
}

/// R-KV subtracts numbers of the order of 1 / n from each other, the terms of a cosine cancel, and
/// a standard score loses its mean: what is lost of those does not shrink with the outcome.
inline double cancellation(const vase_params& params, const vase_layer& layer) {
  const std::string_view policy = vase_policy_name(params.policy);
  if (policy == "keydiff") return 1e-6;
  if (policy == "triattention") return 1e-4;  // of a standard deviation
  return policy == "rkv" ? 1e-5 / layer.n_rows : 0;
}

/// How many heads were compared and how many of them differ, by near-ties.
struct Agreement {
  int heads = 0;
  int near_ties = 0;
};

/// What the choice ranks the row by: its score, or the logarithm of when its clock rings.
inline double ranking(const vase_params& params, const vase_layer& layer, int32_t head, int32_t row,
                      float score) {
  const std::string_view policy = vase_policy_name(params.policy);
  if (policy != "vase") return static_cast<double>(score);
  const PhiloxStream random(params.seed, PhiloxStream::Purpose::kDraw, layer.sequence,
                            layer.eviction, layer.layer, static_cast<uint32_t>(head));
  const int32_t token =
      layer.positions != nullptr ? layer.positions[head * layer.n_rows + row] : row;
  return std::log(-std::log(random.uniform(static_cast<uint32_t>(token)))) -
         std::log(static_cast<double>(score));
}

/// Compares one item's scores of two origins, [n_heads][n_rows] each.
inline void expect_same_scores(const vase_params& params, const vase_layer& layer,
                               const std::vector<float>& expected,
                               const std::vector<float>& scores) {
  // A projection may cancel: its square is right to f32's precision of those that do not.
  double largest = 0;
  for (const float s : expected)
    if (std::isfinite(s)) largest = std::max(largest, std::abs(static_cast<double>(s)));
  ASSERT_EQ(expected.size(), scores.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(std::isinf(expected[i]), std::isinf(scores[i])) << "row " << i;
    ASSERT_EQ(std::isnan(expected[i]), std::isnan(scores[i])) << "row " << i;
    if (!std::isfinite(expected[i])) continue;
    ASSERT_NEAR(expected[i], scores[i],
                near_tie(params) * std::abs(static_cast<double>(expected[i])) +
                    cancellation(params, layer) + 1e-6 * largest)
        << "row " << i;
  }
}

/// Compares one item's masks: [n_heads][n_rows] of the CPU, [n_heads][stride] of the device.
inline void expect_same_choice(const vase_params& params, const vase_layer& layer,
                               const uint8_t* device, int32_t stride, Agreement& agreement) {
  const std::vector<uint8_t> host = select(params, layer);
  std::vector<float> host_scores;
  for (int32_t h = 0; h < layer.n_heads; ++h) {
    ++agreement.heads;
    std::vector<double> changed;
    int32_t kept_here = 0, kept_there = 0;
    for (int32_t i = 0; i < layer.n_rows; ++i) {
      const uint8_t here = host[static_cast<size_t>(h * layer.n_rows + i)];
      const uint8_t there = device[h * stride + i];
      ASSERT_LE(there, 1) << "head " << h << " row " << i << " was not set";
      kept_here += here;
      kept_there += there;
      if (here == there) continue;
      if (host_scores.empty()) host_scores = scores(params, layer);
      changed.push_back(
          ranking(params, layer, h, i, host_scores[static_cast<size_t>(h * layer.n_rows + i)]));
    }
    ASSERT_EQ(kept_here, kept_there) << "head " << h;
    if (changed.empty()) continue;
    ++agreement.near_ties;
    const auto [low, high] = std::minmax_element(changed.begin(), changed.end());
    ASSERT_LE(*high - *low, near_tie(params) * std::abs(*high) + cancellation(params, layer))
        << vase_policy_name(params.policy) << ": head " << h << " keeps other rows, "
        << changed.size() << " of them, ranked from " << *low << " to " << *high;
  }
}

}  // namespace vase::testing

#endif
