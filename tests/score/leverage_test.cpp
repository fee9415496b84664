// The ridge leverage against its formula, solved by Gauss elimination in double precision.
#include "score/leverage.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/leverage_rule.hpp"
#include "score/head_of.hpp"

namespace vase {
namespace {

using testing::dot;
using testing::HeadOf;
using testing::layer_of;
using testing::Matrix;
using testing::run;

/// x of m x = y, by Gauss elimination (m is positive definite: no pivoting).
std::vector<double> solve(Matrix m, std::vector<double> y) {
  for (size_t k = 0; k < y.size(); ++k)
    for (size_t i = k + 1; i < y.size(); ++i) {
      const double factor = m[i][k] / m[k][k];
      for (size_t j = k; j < y.size(); ++j) m[i][j] -= factor * m[k][j];
      y[i] -= factor * y[k];
    }
  for (size_t k = y.size(); k-- > 0;) {
    for (size_t j = k + 1; j < y.size(); ++j) y[k] -= m[k][j] * y[j];
    y[k] /= m[k][k];
  }
  return y;
}

std::vector<double> leverage_by_formula(Matrix rows) {
  const size_t dim = rows[0].size();
  std::vector<double> mean(dim);
  for (const auto& row : rows)
    for (size_t d = 0; d < dim; ++d) mean[d] += row[d] / static_cast<double>(rows.size());
  Matrix gram(dim, std::vector<double>(dim));
  for (auto& row : rows) {
    for (size_t d = 0; d < dim; ++d) row[d] -= mean[d];
    for (size_t a = 0; a < dim; ++a)
      for (size_t b = 0; b < dim; ++b) gram[a][b] += row[a] * row[b];
  }
  double trace = 0;
  for (size_t d = 0; d < dim; ++d) trace += gram[d][d];
  for (size_t d = 0; d < dim; ++d) gram[d][d] += trace / static_cast<double>(dim);
  std::vector<double> leverages;
  for (const auto& row : rows) leverages.push_back(dot(row, solve(gram, row)));
  return leverages;
}

class LeverageTest : public testing::HeadTest {};

TEST_P(LeverageTest, RidgeLeverageWhetherRowsAreStoredRotatedOrNot) {
  for (const vase_rows* rows : {&layer_.keys, &layer_.values}) {
    vase_rows stored = *rows;
    const std::vector<double> expected = leverage_by_formula(head_of_.matrix(stored));
    stored.rotation = 16;  // the true rows are others, their leverages the same
    const std::vector<double> of_rotated = leverage_by_formula(head_of_.matrix(stored));
    const auto found =
        run(head_, ridge_leverage_bytes(stored), [&](Arena& arena, std::span<float> out) {
          ridge_leverage({head_, stored, kernels_}, arena, out);
        });
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_NEAR(static_cast<double>(found[i]), expected[i], 1e-5 * expected[i]) << "row " << i;
      ASSERT_NEAR(of_rotated[i], expected[i], 1e-6 * expected[i]) << "row " << i;
    }
  }
}

TEST_P(LeverageTest, RidgeLeverageIsTheSameWithScalarKernels) {
  const auto by = [&](const Kernels& kernels) {
    return run(head_, ridge_leverage_bytes(layer_.keys), [&](Arena& arena, std::span<float> out) {
      ridge_leverage({head_, layer_.keys, kernels}, arena, out);
    });
  };
  EXPECT_EQ(by(kernels_), by(reference_kernels()));
}

/// Turns rows back that stand for tokens 0, 1, ...
void turn_back(const vase_rope& rope, Matrix& rows) {
  for (size_t i = 0; i < rows.size(); ++i)
    for (int32_t p = 0; p < rope.pairs; ++p) {
      const auto first = static_cast<size_t>(rope.stride == 1 ? 2 * p : p);
      double &a = rows[i][first], &b = rows[i][first + static_cast<size_t>(rope.stride)];
      const double angle = static_cast<double>(rope.frequencies[p]) * static_cast<double>(i);
      const double turned = a * std::cos(angle) + b * std::sin(angle);
      b = b * std::cos(angle) - a * std::sin(angle);
      a = turned;
    }
}

TEST_P(LeverageTest, RidgeLeverageOfKeysAsTheyWereBeforeRope) {
  const int32_t half = layer_.keys.dim / 2;
  std::vector<float> frequencies;
  for (int32_t p = 0; p < half; ++p)
    frequencies.push_back(std::pow(1e4f, -static_cast<float>(p) / static_cast<float>(half)));
  for (const vase_rope& rope :
       {vase_rope{frequencies.data(), half, 1}, vase_rope{frequencies.data(), half, half},
        vase_rope{frequencies.data(), half / 2, half / 2}})
    for (const int32_t rotation : {0, 16}) {
      vase_layer layer = layer_;
      layer.rope = rope;
      layer.keys.rotation = rotation;
      const HeadOf head_of(layer, layer.n_heads - 1);
      Matrix rows = head_of.matrix(layer.keys);
      turn_back(rope, rows);
      const std::vector<double> expected = leverage_by_formula(rows);
      const size_t bytes = upright_bytes(rope) + ridge_leverage_bytes(layer.keys);
      const auto found = run(head_of.head(), bytes, [&](Arena& arena, std::span<float> out) {
        ridge_leverage(upright_keys(head_of.head(), kernels_, arena), arena, out);
      });
      for (size_t i = 0; i < found.size(); ++i)
        ASSERT_NEAR(static_cast<double>(found[i]), expected[i], 1e-4 * expected[i])
            << "row " << i << " stride " << rope.stride << " rotation " << rotation;
    }
}

TEST(Leverages, AreMultiplied) {
  std::vector<float> scores = {0.1f, 0.2f, 0.0f, NAN};
  multiply_leverages(scores, std::vector<float>{0.5f, 0.0f, 0.25f, 0.5f});
  EXPECT_EQ(scores[0], 0.1f * 0.5f);
  EXPECT_EQ(scores[1], 0.2f * kLowestLeverage);
  EXPECT_EQ(scores[2], kLowestLeverage * 0.25f);
  EXPECT_TRUE(std::isnan(scores[3]));
}

std::vector<float> leverage_of(const HeadOf& head, const vase_rows& rows) {
  return run(head.head(), ridge_leverage_bytes(rows), [&](Arena& arena, std::span<float> out) {
    ridge_leverage({head.head(), rows, best_kernels()}, arena, out);
  });
}

TEST(Leverages, OfRowsThatAreAllAlikeAreEqual) {
  std::vector<float> rows(40 * 64, 0.3f);
  std::vector<int32_t> cells;
  const vase_layer layer = layer_of(rows, 64, cells);
  const std::vector<float> scores = leverage_of(HeadOf(layer, 0), layer.keys);
  for (const float s : scores) EXPECT_EQ(s, scores[0]);
  EXPECT_TRUE(std::isfinite(scores[0]));
}

TEST(Leverages, OfRowsFarFromTheOriginThatDriftAreAsExact) {
  constexpr size_t kRows = 1700, kDim = 48;
  std::vector<float> rows(kRows * kDim);
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto d = static_cast<float>(i % kDim), turn = static_cast<float>(i) / (9000.0f + 100 * d);
    rows[i] = (i % kDim < 8 ? 30.0f : -2.0f) + 4 * std::sin(turn) + normal(random);
  }
  rows[0] = 3000;  // an outlier, and in the sample that the rough centre is taken from
  std::vector<int32_t> cells;
  const vase_layer layer = layer_of(rows, kDim, cells);
  const HeadOf head(layer, 0);
  const std::vector<float> found = leverage_of(head, layer.keys);
  const std::vector<double> expected = leverage_by_formula(head.matrix(layer.keys));
  for (size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(static_cast<double>(found[i]), expected[i], 2e-6 * expected[i]) << "row " << i;
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, LeverageTest,
    ::testing::Values(testing::Shape{.n_heads = 1, .dim = 64, .n_rows = 70},
                      testing::Shape{.n_heads = 2, .dim = 128, .n_rows = 301},
                      testing::Shape{.n_heads = 3, .dim = 80, .n_rows = 129},
                      testing::Shape{.n_heads = 1, .dim = 256, .n_rows = 90},
                      testing::Shape{.n_heads = 2, .dim = 64, .n_rows = 100, .type = VASE_Q8_0},
                      testing::Shape{.n_heads = 2, .dim = 96, .n_rows = 100, .type = VASE_Q4_0},
                      testing::Shape{.n_heads = 2, .dim = 192, .n_rows = 65, .values_dim = 128}));

}  // namespace
}  // namespace vase
