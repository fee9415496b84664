#include "eval/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace vase::eval {
namespace {

// By hand: 2 * sum of binom(n, i) / 2^n for i up to the smaller count.
TEST(McNemar, ExactValues) {
  EXPECT_DOUBLE_EQ(mcnemar_exact(0, 0), 1);
  EXPECT_NEAR(mcnemar_exact(0, 5), 2.0 / 32, 1e-12);
  EXPECT_NEAR(mcnemar_exact(5, 0), 2.0 / 32, 1e-12);
  EXPECT_NEAR(mcnemar_exact(2, 8), 2 * (1 + 10 + 45) / 1024.0, 1e-12);
  EXPECT_DOUBLE_EQ(mcnemar_exact(3, 3), 1);
  EXPECT_NEAR(mcnemar_exact(1, 9), 22.0 / 1024, 1e-12);
  EXPECT_NEAR(mcnemar_exact(900, 1100), 8.457089535503927e-06, 1e-12);  // in exact fractions
}

// Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611.
TEST(Wilson, PublishedValues) {
  EXPECT_NEAR(wilson_interval(81, 263).low, 0.2553, 5e-5);
  EXPECT_NEAR(wilson_interval(81, 263).high, 0.3662, 5e-5);
  EXPECT_DOUBLE_EQ(wilson_interval(0, 20).low, 0);
  EXPECT_NEAR(wilson_interval(0, 20).high, 0.1611, 5e-5);
}

TEST(Bootstrap, NearTheNormalIntervalForManyValues) {
  std::vector<double> values;
  for (int i = 0; i < 400; ++i) values.push_back(i % 4 == 0 ? 1 : 0);  // mean 0.25
  const double half = 1.96 * std::sqrt(0.25 * 0.75 / 400);
  const Interval interval = bootstrap_interval(values);
  EXPECT_NEAR(interval.low, 0.25 - half, 0.005);
  EXPECT_NEAR(interval.high, 0.25 + half, 0.005);
}

TEST(Bootstrap, SameValuesSameInterval) {
  const std::vector<double> values = {0, 0.5, 1, 1, 0.25};
  EXPECT_EQ(bootstrap_interval(values).low, bootstrap_interval(values).low);
  const Interval one = bootstrap_interval(std::vector<double>{0.5});
  EXPECT_EQ(one.low, 0.5);
  EXPECT_EQ(one.high, 0.5);
}

TEST(Bootstrap, GroupsOfOneSizeAreTheirMeans) {
  const std::vector<double> means = {0, 0.5, 1, 1, 0.25};
  const Interval of_groups =
      bootstrap_interval(std::vector<double>{0, 2, 4, 4, 1}, std::vector<double>(5, 4.0));
  EXPECT_DOUBLE_EQ(of_groups.low, bootstrap_interval(means).low);
  EXPECT_DOUBLE_EQ(of_groups.high, bootstrap_interval(means).high);
}

// 100 groups of 1 with 0 and 100 of 3 with 3: the share is 0.75, where the mean of shares is 0.5.
// Its variance by the delta method: sum of (sum - 0.75 count)^2 / (total count)^2.
TEST(Bootstrap, LargeGroupsWeighMore) {
  std::vector<double> sums(100, 0.0);
  std::vector<double> counts(100, 1.0);
  sums.resize(200, 3.0);
  counts.resize(200, 3.0);
  const double half = 1.96 * std::sqrt(200 * 0.75 * 0.75) / 400;
  const Interval interval = bootstrap_interval(sums, counts);
  EXPECT_NEAR(interval.low, 0.75 - half, 0.01);
  EXPECT_NEAR(interval.high, 0.75 + half, 0.01);
}

TEST(SignFlip, TellsChanceFromADifference) {
  EXPECT_EQ(sign_flip_test(std::vector<double>{}), 1);
  EXPECT_EQ(sign_flip_test(std::vector<double>(20, 0.0)), 1);
  EXPECT_LT(sign_flip_test(std::vector<double>(20, 0.25)), 0.001) << "2 in 2^20";
  // Three of one sign: each of the eight signings is as likely, and two are as far from 0.
  EXPECT_NEAR(sign_flip_test(std::vector<double>{1, 1, 1}), 0.25, 0.02);
  EXPECT_GT(sign_flip_test(std::vector<double>{1, -1, 1, -1, 0.5}), 0.5);
}

}  // namespace
}  // namespace vase::eval
