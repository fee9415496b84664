#include "core/keep_set.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace vase {
namespace {

class KeepSetTest : public ::testing::Test {
 protected:
  KeepSet make(size_t n, int32_t quota) {
    memory_.resize(KeepSet::bytes(static_cast<int32_t>(n)) + Arena::kAlignment);
    flags_.assign(n, 9);
    Arena arena(memory_.data(), memory_.size());
    return {flags_, quota, arena};
  }
  std::vector<int32_t> kept() const {
    std::vector<int32_t> list;
    for (size_t i = 0; i < flags_.size(); ++i)
      if (flags_[i] != 0) list.push_back(static_cast<int32_t>(i));
    return list;
  }
  static PhiloxStream stream(uint32_t eviction) {
    return {5, PhiloxStream::Purpose::kDraw, 0, eviction, 0, 0};
  }

  std::vector<std::byte> memory_;
  std::vector<uint8_t> flags_;
};

TEST_F(KeepSetTest, TopAndBottomBreakTiesTowardsTheOlder) {
  const std::vector<float> scores{1, 3, 3, 2, 3};
  KeepSet top = make(5, 5);
  top.add_top(scores, 2);
  EXPECT_EQ(kept(), (std::vector<int32_t>{1, 2}));
  KeepSet bottom = make(5, 5);
  bottom.add_bottom(scores, 3);
  EXPECT_EQ(kept(), (std::vector<int32_t>{0, 1, 3}));
}

TEST_F(KeepSetTest, NanRanksLast) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> scores{nan, -1, nan, -2};
  KeepSet set = make(4, 3);
  set.add_top(scores, 3);
  EXPECT_EQ(kept(), (std::vector<int32_t>{0, 1, 3}));
}

TEST_F(KeepSetTest, NeverExceedsTheQuota) {
  const std::vector<float> scores{4, 3, 2, 1};
  KeepSet set = make(4, 2);
  set.add(3);
  set.add(3);
  EXPECT_EQ(set.remaining(), 1);
  set.add_top(scores, 10);
  EXPECT_EQ(kept(), (std::vector<int32_t>{0, 3}));
  set.add(1);
  EXPECT_EQ(set.kept(), 2);
  set.add_top(scores, -1);
  EXPECT_EQ(set.kept(), 2);
}

TEST_F(KeepSetTest, ZeroWeightsAreDrawnLast) {
  const std::vector<float> weights{0, 1e-30f, 0, 2, std::numeric_limits<float>::quiet_NaN()};
  const std::vector<int32_t> positions{0, 1, 2, 3, 4};
  KeepSet set = make(5, 3);
  set.add_drawn(weights, positions, stream(0), 3);
  EXPECT_EQ(kept(), (std::vector<int32_t>{0, 1, 3}));
}

/// Probability that candidate i is among two drawn without replacement with probability
/// proportional to w.
double inclusion_of_two(const std::vector<float>& w, size_t i) {
  const double total = std::accumulate(w.begin(), w.end(), 0.0);
  const double wi = static_cast<double>(w[i]);
  double p = wi / total;
  for (size_t j = 0; j < w.size(); ++j)
    if (j != i) p += static_cast<double>(w[j]) / total * wi / (total - static_cast<double>(w[j]));
  return p;
}

TEST_F(KeepSetTest, DrawsWithoutReplacementInProportion) {
  const std::vector<float> weights{1, 2, 4, 8, 0.5f};
  const std::vector<int32_t> positions{0, 7, 8, 1000, 2000};
  constexpr int kDraws = 20000;
  std::vector<int> counts(weights.size());
  for (uint32_t draw = 0; draw < kDraws; ++draw) {
    KeepSet set = make(weights.size(), 2);
    set.add_drawn(weights, positions, stream(draw), 2);
    for (int32_t i : kept()) ++counts[static_cast<size_t>(i)];
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    const double p = inclusion_of_two(weights, i);
    // Five standard errors: one false alarm in some 300,000 runs with other seeds.
    EXPECT_NEAR(counts[i], kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p))) << "candidate " << i;
  }
}

}  // namespace
}  // namespace vase
