// The ridge leverage against its formula, solved by Gauss elimination in double precision.
#include "score/leverage.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "score/head_of.hpp"

namespace vase {
namespace {

using testing::dot;
using testing::HeadOf;
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
          ridge_leverage(head_, stored, kernels_, arena, out);
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
      ridge_leverage(head_, layer_.keys, kernels, arena, out);
    });
  };
  EXPECT_EQ(by(kernels_), by(reference_kernels()));
}

TEST(Leverages, AreCombinedByTheirStandardisedLogarithms) {
  std::vector<float> scores = {0.1f, 0.2f, 0.4f, 0.0f, 0.3f};
  const std::vector<float> others = {0.5f, 0.5f, 0.01f, 0.2f, 0.9f};
  std::vector<double> expected(scores.size());
  for (const auto& leverages : {scores, others}) {
    std::vector<double> logs;
    for (const float l : leverages)
      logs.push_back(std::log(std::max(1e-9, static_cast<double>(l))));
    const double mean = std::accumulate(logs.begin(), logs.end(), 0.0) / 5;
    double variance = 0;
    for (const double l : logs) variance += (l - mean) * (l - mean) / 5;
    for (size_t i = 0; i < 5; ++i) expected[i] += (logs[i] - mean) / std::sqrt(variance);
  }
  combine_leverages(scores, others);
  for (size_t i = 0; i < 5; ++i)
    EXPECT_NEAR(static_cast<double>(scores[i]), expected[i], 1e-6) << "row " << i;
}

TEST(Leverages, ThatDifferByRoundingAreNotToldApart) {
  std::vector<float> scores = {0.5f, 0.5000001f, 0.4999999f};
  combine_leverages(scores, std::vector<float>{0.3f, 0.3000001f, 0.3f});
  for (const float s : scores) EXPECT_NEAR(s, 0.0f, 2e-5f);
}

/// One head of f32 keys; `rows` as well as the layer must outlive its use.
vase_layer layer_of(std::vector<float>& rows, int32_t dim, std::vector<int32_t>& cells) {
  vase_layer layer{};
  layer.keys = {rows.data(), VASE_F32, dim, 4 * dim, 4 * dim, 0};
  layer.n_heads = 1;
  layer.n_rows = static_cast<int32_t>(rows.size()) / dim;
  cells.resize(static_cast<size_t>(layer.n_rows));
  std::iota(cells.begin(), cells.end(), 0);
  layer.cells = cells.data();
  return layer;
}

std::vector<float> leverage_of(const HeadOf& head, const vase_rows& rows) {
  return run(head.head(), ridge_leverage_bytes(rows), [&](Arena& arena, std::span<float> out) {
    ridge_leverage(head.head(), rows, best_kernels(), arena, out);
  });
}

TEST(Leverages, OfRowsThatAreAllAlikeAreEqual) {
  std::vector<float> rows(40 * 64, 0.3f);
  std::vector<int32_t> cells;
  const vase_layer layer = layer_of(rows, 64, cells);
  std::vector<float> scores = leverage_of(HeadOf(layer, 0), layer.keys);
  combine_leverages(scores, std::vector<float>(scores));
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
