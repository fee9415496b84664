// The test behind a protected share that is found from the values.
#include "score/wide_values.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/width_rule.hpp"

namespace vase {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

int32_t count(std::vector<float> x) { return count_wide(x); }

std::vector<float> normal_numbers(size_t n, float mean, float deviation, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

/// The definition, in the plainest way.
int32_t by_definition(const std::vector<float>& x) {
  const auto median = [](std::vector<double> y) {
    std::sort(y.begin(), y.end());
    return y[(y.size() - 1) / 2];
  };
  const std::vector<double> y(x.begin(), x.end());
  const double m = median(y);
  std::vector<double> deviations;
  for (double v : y) deviations.push_back(std::abs(v - m));
  const double s = 1.4826 * median(deviations);
  return static_cast<int32_t>(
      std::count_if(y.begin(), y.end(), [&](double v) { return v > m - 0.5 * s; }));
}

TEST(WideValuesTest, FollowsTheDefinition) {
  for (const size_t n : {1u, 2u, 3u, 10u, 101u, 4000u}) {
    std::vector<float> x = normal_numbers(n, 0, 0.6f, static_cast<uint32_t>(n));
    for (float& v : x) v = std::exp(v);  // ranges are positive and have a long tail above
    EXPECT_EQ(count(x), by_definition(x)) << n;
  }
}

TEST(WideValuesTest, EqualNumbersHaveNone) {
  EXPECT_EQ(count({}), 0);
  EXPECT_EQ(count({3}), 0);
  EXPECT_EQ(count(std::vector<float>(500, 1.25f)), 0);
}

TEST(WideValuesTest, OfNormalNumbersTwoInThreeAreWide) {
  // 69.1% lie above half a standard deviation below the mean.
  EXPECT_NEAR(count(normal_numbers(100000, 5, 1, 1)), 69146, 600);
}

TEST(WideValuesTest, ExtremeOnesAreCountedAndMoveTheOthersLittle) {
  const int32_t before = count(normal_numbers(1000, 5, 0.25f, 2));
  for (const int32_t planted : {1, 20, 100}) {
    std::vector<float> x = normal_numbers(1000, 5, 0.25f, 2);
    for (int32_t i = 0; i < planted; ++i) x[static_cast<size_t>(i * 2)] = 40.0f;
    EXPECT_EQ(count(x), by_definition(x));
    EXPECT_NEAR(count(x), before, planted / 2 + 1);
  }
}

TEST(WideValuesTest, NarrowOnesDoNotCount) {
  for (const int32_t planted : {50, 300, 450}) {
    std::vector<float> x = normal_numbers(1000, 5, 0.01f, 3);
    for (int32_t i = 0; i < planted; ++i) x[static_cast<size_t>(i * 2)] = 0.1f;
    EXPECT_LE(count(x), 1000 - planted);
    EXPECT_GE(count(x), 450);
  }
}

TEST(WideValuesTest, ScaleAndPlaceDoNotMatter) {
  std::vector<float> x = normal_numbers(2000, 0, 0.8f, 4);
  for (float& v : x) v = std::round(std::exp(v) * 256);  // whole numbers, so that shifts are exact
  std::vector<float> doubled = x, shifted = x;
  for (float& v : doubled) v *= 2;
  for (float& v : shifted) v += 1024;
  EXPECT_GT(count(x), 1000);
  EXPECT_EQ(count(doubled), count(x));
  EXPECT_EQ(count(shifted), count(x));
}

TEST(WideValuesTest, NanAndInfinityHaveAPlace) {
  std::vector<float> x = normal_numbers(100, 5, 0.01f, 5);
  x[3] = kInfinity;
  const int32_t with_infinity = count(x);
  EXPECT_GE(with_infinity, 1);
  x[4] = kNan;  // the lowest
  EXPECT_LE(count(x), with_infinity + 1);
  EXPECT_EQ(count(std::vector<float>(10, kNan)), 0);
  EXPECT_EQ(count(std::vector<float>(10, kInfinity)), 0);
}

TEST(WideValuesTest, ProtectionHasBounds) {
  EXPECT_EQ(bound_protection(0, 1024), 32);
  EXPECT_EQ(bound_protection(100, 1024), 100);
  EXPECT_EQ(bound_protection(1000, 1024), 896);
  EXPECT_EQ(bound_protection(5, 31), 5);
  EXPECT_EQ(bound_protection(0, 31), 0);
}

}  // namespace
}  // namespace vase
