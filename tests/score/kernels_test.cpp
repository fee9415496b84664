// The SIMD kernels against the scalar ones: the same bits, for every instruction set this machine
// has.
#include "score/kernels.hpp"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include "core/rope_rule.hpp"
#include "score/exp2.hpp"
#include "score/reciprocal.hpp"
#include "score/simd.hpp"
#include "score/sine.hpp"
#include "support/random_layer.hpp"

namespace vase {
namespace {

/// Instruction sets with fused multiply-add on this machine; the tests run over them.
std::vector<int64_t> fused_targets() {
  std::vector<int64_t> targets;
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    if (simd_has_fma()) targets.push_back(target);
    hwy::SetSupportedTargetsForTest(0);
  }
  return targets;
}

class KernelsTest : public ::testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { choose(GetParam()); }
  void TearDown() override { choose(0); }

  static void choose(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }

  std::vector<float> random_floats(size_t n, float spread = 1.0f) {
    std::vector<float> v(n);
    for (float& x : v) x = spread * std::normal_distribution<float>()(random_);
    return v;
  }
  DenseRows random_rows(int32_t count, int32_t dim) {
    const int32_t stride = pad_to_lanes(dim);
    rows_ = random_floats(static_cast<size_t>(count) * static_cast<size_t>(stride));
    const DenseRows rows{rows_.data(), count, stride};
    for (int32_t i = 0; i < count; ++i) std::fill(rows.row(i) + dim, rows.row(i) + stride, 0.0f);
    return rows;
  }

  std::mt19937 random_{11};
  std::vector<float> rows_;
  const Kernels& reference_ = reference_kernels();
};

const int32_t kCounts[] = {1, 5, 6, 7, 48, 61};
const int32_t kDims[] = {16, 40, 64, 80, 128, 256};

TEST_P(KernelsTest, ReadRows) {
  for (const vase_type type : {VASE_F32, VASE_F16, VASE_BF16, VASE_Q8_0, VASE_Q4_0})
    for (const int32_t dim : {32, 64, 96, 256}) {
      testing::RandomLayer layer({.n_heads = 2, .group = 1, .dim = dim, .n_rows = 37, .type = type},
                                 random_());
      const size_t n = 37 * static_cast<size_t>(dim);
      std::vector<float> expected(n), found(n, -1.0f);
      reference_.read_rows(layer.view().keys, 1, layer.view().cells, {expected.data(), 37, dim});
      simd_kernels().read_rows(layer.view().keys, 1, layer.view().cells, {found.data(), 37, dim});
      EXPECT_EQ(found, expected) << "type " << type << " dim " << dim;
    }
}

TEST_P(KernelsTest, ReadRowsPadsWithZeros) {
  testing::RandomLayer layer({.n_heads = 1, .group = 1, .dim = 20, .n_rows = 3, .type = VASE_F16},
                             1);
  std::vector<float> found(3 * 32, -1.0f);
  simd_kernels().read_rows(layer.view().keys, 0, layer.view().cells, {found.data(), 3, 32});
  for (size_t i = 0; i < 3; ++i)
    for (size_t d = 20; d < 32; ++d) EXPECT_EQ(found[i * 32 + d], 0.0f);
}

TEST_P(KernelsTest, TurnBack) {
  struct Layout {
    int32_t dim, pairs, stride;
  };
  for (const Layout& l : {Layout{64, 32, 1}, Layout{64, 32, 32}, Layout{128, 64, 64},
                          Layout{80, 20, 20}, Layout{96, 13, 1}, Layout{40, 3, 17}}) {
    std::vector<uint32_t> steps;
    for (int32_t p = 0; p < l.pairs; ++p)
      steps.push_back(
          rope_step(std::pow(1e5f, -static_cast<float>(p) / static_cast<float>(l.pairs))));
    const RopeSteps rope{steps.data(), l.pairs, l.stride};
    std::vector<int32_t> positions(21);
    for (int32_t& p : positions) p = static_cast<int32_t>(random_() % 200000);
    const DenseRows rows = random_rows(21, l.dim);
    std::vector<float> other(rows_);
    reference_.turn_back(rows, rope, positions.data());
    simd_kernels().turn_back({other.data(), rows.count, rows.stride}, rope, positions.data());
    EXPECT_EQ(other, rows_) << "dim " << l.dim << " pairs " << l.pairs << " stride " << l.stride;
  }
}

TEST_P(KernelsTest, PairLengths) {
  struct Layout {
    int32_t dim, pairs, stride;
  };
  for (const Layout& l : {Layout{64, 32, 1}, Layout{64, 32, 32}, Layout{80, 21, 1},
                          Layout{96, 13, 48}, Layout{40, 3, 17}}) {
    const DenseRows rows = random_rows(21, l.dim);
    const int32_t stride = pad_to_lanes(l.pairs);
    std::vector<float> expected(21 * static_cast<size_t>(stride)), found(expected);
    reference_.pair_lengths(rows, l.pairs, l.stride, {expected.data(), 21, stride});
    simd_kernels().pair_lengths(rows, l.pairs, l.stride, {found.data(), 21, stride});
    EXPECT_EQ(found, expected) << "dim " << l.dim << " pairs " << l.pairs << " stride " << l.stride;
    EXPECT_GT(expected[0], 0.0f);
  }
}

TEST_P(KernelsTest, RowSums) {
  for (const int32_t count : kCounts)
    for (const int32_t dim : kDims) {
      const DenseRows rows = random_rows(count, dim);
      const auto n = static_cast<size_t>(count);
      std::vector<float> expected(n), found(n);
      reference_.ranges(rows, dim, expected.data());
      simd_kernels().ranges(rows, dim, found.data());
      EXPECT_EQ(found, expected);

      reference_.dots(rows, rows.data, rows.stride, expected.data());
      simd_kernels().dots(rows, rows.data, rows.stride, found.data());
      EXPECT_EQ(found, expected);

      std::vector<float> sum = random_floats(static_cast<size_t>(rows.stride)), other_sum = sum;
      const std::vector<float> factors = random_floats(n);
      reference_.add_scaled_rows(rows, factors.data(), sum.data());
      simd_kernels().add_scaled_rows(rows, factors.data(), other_sum.data());
      EXPECT_EQ(other_sum, sum);
    }
}

TEST_P(KernelsTest, Products) {
  for (const int32_t count : kCounts)
    for (const int32_t dim : kDims)
      for (const int32_t lanes : {16, 32, 48, 64}) {
        const DenseRows rows = random_rows(count, dim);
        std::vector<float> by_data =
            random_floats(static_cast<size_t>(dim) * static_cast<size_t>(lanes));
        const LaneMatrix by{by_data.data(), dim, lanes};
        const auto n = static_cast<size_t>(count), l = static_cast<size_t>(lanes);
        std::vector<float> expected(n * l), found(n * l), maxima(l, -1e30f), other_maxima = maxima;
        reference_.multiply(rows, by, {expected.data(), count, lanes}, maxima.data());
        simd_kernels().multiply(rows, by, {found.data(), count, lanes}, other_maxima.data());
        EXPECT_EQ(found, expected);
        EXPECT_EQ(other_maxima, maxima);

        std::vector<float> energy(n), other_energy(n);
        reference_.projected_energy(rows, by, energy.data());
        simd_kernels().projected_energy(rows, by, other_energy.data());
        EXPECT_EQ(other_energy, energy);
      }
}

TEST_P(KernelsTest, Softmax) {
  for (const int32_t depth : kCounts)
    for (const int32_t lanes : {16, 48, 64}) {
      const auto n = static_cast<size_t>(depth), l = static_cast<size_t>(lanes);
      std::vector<float> m = random_floats(n * l, 60.0f), other = m, maxima(l, 0.0f), sums(l),
                         other_sums(l);
      for (size_t i = 0; i < m.size(); ++i) maxima[i % l] = std::max(maxima[i % l], m[i]);
      reference_.exp2_columns({m.data(), depth, lanes}, maxima.data(), sums.data());
      simd_kernels().exp2_columns({other.data(), depth, lanes}, maxima.data(), other_sums.data());
      EXPECT_EQ(other, m);
      EXPECT_EQ(other_sums, sums);

      const std::vector<float> factors = random_floats(l);
      std::vector<float> out(n, 0.5f), other_out = out;
      reference_.add_weighted_lanes({m.data(), depth, lanes}, factors.data(), out.data());
      simd_kernels().add_weighted_lanes({m.data(), depth, lanes}, factors.data(), other_out.data());
      EXPECT_EQ(other_out, out);
    }
}

TEST_P(KernelsTest, Centring) {
  for (const int32_t count : kCounts)
    for (const int32_t dim : kDims) {
      const DenseRows rows = random_rows(count, dim);
      std::vector<float> copy = rows_;
      const std::vector<float> centre = random_floats(static_cast<size_t>(rows.stride));
      simd_kernels().centre_rows(rows, centre.data());
      reference_.centre_rows({copy.data(), count, rows.stride}, centre.data());
      EXPECT_EQ(rows_, copy);
    }
}

TEST_P(KernelsTest, Crowds) {
  for (const int32_t lanes : {16, 48, 256})
    for (const int32_t first : {-300, -20, -1, 0, 7, 250}) {
      const std::vector<float> squares = random_floats(48), of_lanes = random_floats(256);
      const LaneMatrix m{random_rows(48, lanes).data, 48, lanes};
      std::vector<float> expected(48), found(48, 1.0f);
      reference_.crowds(m, squares.data(), of_lanes.data(), first, 0.01f, expected.data());
      simd_kernels().crowds(m, squares.data(), of_lanes.data(), first, 0.01f, found.data());
      EXPECT_EQ(found, expected) << lanes << " lanes from " << first;
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, KernelsTest, ::testing::ValuesIn(fused_targets()),
                         [](const auto& target) {
                           return std::string(hwy::TargetName(target.param));
                         });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(KernelsTest);

TEST(Reciprocal, IsAccurate) {
  for (float x = 1e-17f; x < 1e17f; x *= 1.0137f) {
    const double expected = 1.0 / static_cast<double>(x);
    EXPECT_NEAR(static_cast<double>(reciprocal(x)), expected, 3e-7 * expected) << x;
  }
  EXPECT_TRUE(std::isnan(reciprocal(std::numeric_limits<float>::quiet_NaN())));
}

TEST(SineCosine, IsAccurate) {
  for (float turns = -0.5f; turns <= 0.5f; turns += 0.000173f) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(turns);
    const SineCosine found = sine_cosine(turns);
    ASSERT_NEAR(static_cast<double>(found.sine), std::sin(angle), 3e-7) << turns;
    ASSERT_NEAR(static_cast<double>(found.cosine), std::cos(angle), 3e-7) << turns;
  }
}

TEST(Rope, PhaseIsThatOfTheAngleHoweverLongTheText) {
  for (const float frequency : {1.0f, 0.31622776f, 0.001f, 1e-6f})
    for (const int32_t position : {0, 1, 77, 4096, 131072, 1000000}) {
      const double exact = static_cast<double>(frequency) * position / (2 * std::numbers::pi);
      const double off = static_cast<double>(rope_turns(rope_step(frequency), position)) - exact;
      ASSERT_NEAR(off, std::round(off), 2e-4) << frequency << " at " << position;
    }
}

TEST(Exp2, IsAccurate) {
  for (float x = -100; x <= 0; x += 0.0137f) {
    const double exact = std::exp2(static_cast<double>(x));
    ASSERT_NEAR(static_cast<double>(exp2_nonpositive(x)), exact, 2e-7 * exact) << x;
  }
  EXPECT_EQ(exp2_nonpositive(0), 1.0f);
  EXPECT_LT(exp2_nonpositive(-std::numeric_limits<float>::infinity()), 1e-37f);
}

}  // namespace
}  // namespace vase
