// Each score against its formula in double precision, written once more in the plainest way.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/rows.hpp"
#include "score/attention.hpp"
#include "score/cur.hpp"
#include "score/leverage.hpp"
#include "score/redundancy.hpp"
#include "score/value_range.hpp"
#include "support/random_layer.hpp"

namespace vase {
namespace {

using Matrix = std::vector<std::vector<double>>;

/// All rows of one head of a layer as candidates, in row order.
class HeadOf {
 public:
  HeadOf(const vase_layer& layer, int32_t index)
      : layer_(layer), rows_(static_cast<size_t>(layer.n_rows)) {
    std::iota(rows_.begin(), rows_.end(), 0);
    cells_.assign(layer.cells, layer.cells + layer.n_rows);
    head_ = {&layer_, index, rows_, cells_, rows_};
  }
  const Head& head() const { return head_; }

  /// The true rows: as stored, turned back if they are rotated.
  Matrix matrix(const vase_rows& rows) const {
    Matrix m;
    std::vector<float> row(static_cast<size_t>(rows.dim));
    for (int32_t cell : cells_) {
      read_row(row_at(rows, cell, head_.index), rows.type, rows.dim, row.data());
      if (rows.rotation != 0) rotate_row(row.data(), rows.dim, rows.rotation);
      m.emplace_back(row.begin(), row.end());
    }
    return m;
  }

 private:
  vase_layer layer_;
  std::vector<int32_t> rows_, cells_;
  Head head_;
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

void softmax(std::vector<double>& x) {
  const double maximum = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double& v : x) sum += v = std::exp(v - maximum);
  for (double& v : x) v /= sum;
}

std::vector<double> attention_by_formula(const Head& head, const Matrix& keys,
                                         const vase_params& params) {
  const auto n = keys.size();
  const int32_t dim = head.layer->keys.dim;
  std::vector<double> group_mean(n);
  for (int32_t g = 0; g < head.group(); ++g) {
    std::vector<double> query_mean(n);
    for (int32_t q = 0; q < head.layer->n_queries; ++q) {
      const float* first = head.queries(g) + q * dim;
      const std::vector<double> query(first, first + dim);
      std::vector<double> p(n);
      for (size_t i = 0; i < n; ++i)
        p[i] = dot(query, keys[i]) / (std::sqrt(dim) * static_cast<double>(params.temperature));
      softmax(p);
      for (size_t i = 0; i < n; ++i) query_mean[i] += p[i] / head.layer->n_queries;
    }
    for (size_t i = 0; i < n; ++i)
      for (int32_t j = -params.pooling / 2; j <= params.pooling / 2; ++j)
        if (const auto k = static_cast<int64_t>(i) + j; k >= 0 && k < static_cast<int64_t>(n))
          group_mean[i] += query_mean[static_cast<size_t>(k)] / params.pooling / head.group();
  }
  return group_mean;
}

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
  for (size_t d = 0; d < dim; ++d) gram[d][d] += 0.1 * trace / static_cast<double>(dim);
  std::vector<double> leverages;
  for (const auto& row : rows) leverages.push_back(dot(row, solve(gram, row)));
  return leverages;
}

template <typename Score>
std::vector<float> run(const Head& head, size_t bytes, Score score) {
  std::vector<std::byte> memory(bytes + Arena::kAlignment);
  Arena arena(memory.data(), memory.size());
  std::vector<float> out(static_cast<size_t>(head.size()));
  score(arena, std::span<float>(out));
  return out;
}

class FormulasTest : public ::testing::TestWithParam<testing::Shape> {
 protected:
  testing::RandomLayer random_{GetParam(), 21};
  vase_layer layer_ = random_.view();
  HeadOf head_of_{layer_, layer_.n_heads - 1};
  const Head& head_ = head_of_.head();
  vase_params params_ = vase_params_default(nullptr, 256);
  const Kernels& kernels_ = best_kernels();
};

TEST_P(FormulasTest, AttentionWeights) {
  for (const float temperature : {1.0f, 2.5f}) {
    params_.temperature = temperature;
    const auto n = head_.size();
    const auto found = run(head_, dense_keys_bytes(layer_, n) + attention_weights_bytes(layer_, n),
                           [&](Arena& arena, std::span<float> out) {
                             const DenseRows keys = dense_keys(head_, kernels_, arena);
                             attention_weights(head_, params_, kernels_, keys, arena, out);
                           });
    const auto expected = attention_by_formula(head_, head_of_.matrix(layer_.keys), params_);
    for (size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(static_cast<double>(found[i]), expected[i], 1e-5 * expected[i]) << "row " << i;
  }
}

TEST_P(FormulasTest, ValueRange) {
  for (const int32_t rotation : {0, 16}) {
    layer_.values.rotation = rotation;
    const HeadOf head_of(layer_, 0);
    const auto found =
        run(head_of.head(), value_range_bytes(layer_), [&](Arena& arena, std::span<float> out) {
          value_range(head_of.head(), kernels_, arena, out);
        });
    const Matrix values = head_of.matrix(layer_.values);
    for (size_t i = 0; i < found.size(); ++i) {
      const auto [low, high] = std::minmax_element(values[i].begin(), values[i].end());
      EXPECT_FLOAT_EQ(found[i], static_cast<float>(*high - *low)) << "rotation " << rotation;
    }
  }
}

TEST_P(FormulasTest, Redundancy) {
  const auto n = head_.size();
  const auto found = run(head_, dense_keys_bytes(layer_, n) + redundancy_bytes(layer_, n),
                         [&](Arena& arena, std::span<float> out) {
                           redundancy(dense_keys(head_, kernels_, arena), kernels_, arena, out);
                         });
  const Matrix keys = head_of_.matrix(layer_.keys);
  std::vector<double> expected(keys.size());
  for (size_t i = 0; i < keys.size(); ++i)
    for (size_t j = 0; j < keys.size(); ++j)
      if (i != j)
        expected[i] += dot(keys[i], keys[j]) /
                       std::sqrt(dot(keys[i], keys[i]) * dot(keys[j], keys[j])) /
                       static_cast<double>(keys.size());
  softmax(expected);
  for (size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(static_cast<double>(found[i]), expected[i], 1e-5 * expected[i]) << "row " << i;
}

TEST_P(FormulasTest, CurWithAGivenProjection) {
  constexpr int32_t kProjections = 20;
  std::mt19937 random(4);
  const int32_t depth = std::max(layer_.keys.dim, layer_.values.dim);
  std::vector<float> gauss(static_cast<size_t>(depth) * kProjections);
  for (float& g : gauss) g = std::normal_distribution<float>()(random);
  layer_.gauss = gauss.data();
  const HeadOf head_of(layer_, 0);

  const auto found = run(head_of.head(), cur_leverage_bytes(params_, layer_, layer_.n_rows),
                         [&](Arena& arena, std::span<float> out) {
                           cur_leverage(head_of.head(), params_, kernels_, arena, out);
                         });
  const auto energy = [&](const std::vector<double>& row) {
    double sum = 0;
    for (size_t c = 0; c < kProjections; ++c) {
      double p = 0;
      for (size_t d = 0; d < row.size(); ++d)
        p += row[d] * static_cast<double>(gauss[d * kProjections + c]);
      sum += p * p;
    }
    return sum;
  };
  const Matrix keys = head_of.matrix(layer_.keys), values = head_of.matrix(layer_.values);
  for (size_t i = 0; i < found.size(); ++i) {
    const double expected = energy(keys[i]) * energy(values[i]);
    ASSERT_NEAR(static_cast<double>(found[i]), expected, 1e-5 * expected) << "row " << i;
  }
}

TEST_P(FormulasTest, RidgeLeverageWhetherRowsAreStoredRotatedOrNot) {
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

TEST_P(FormulasTest, RidgeLeverageIsTheSameWithScalarKernels) {
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

TEST(Leverages, OfRowsThatAreAllAlikeAreEqual) {
  std::vector<float> rows(40 * 64, 0.3f), scores(40);
  vase_layer layer{};
  layer.keys = {rows.data(), VASE_F32, 64, 256, 256, 0};
  layer.n_heads = 1;
  layer.n_rows = 40;
  std::vector<int32_t> cells(40);
  std::iota(cells.begin(), cells.end(), 0);
  layer.cells = cells.data();
  const HeadOf head(layer, 0);
  scores =
      run(head.head(), ridge_leverage_bytes(layer.keys), [&](Arena& arena, std::span<float> out) {
        ridge_leverage(head.head(), layer.keys, best_kernels(), arena, out);
      });
  combine_leverages(scores, std::vector<float>(scores));
  for (const float s : scores) EXPECT_EQ(s, scores[0]);
  EXPECT_TRUE(std::isfinite(scores[0]));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, FormulasTest,
    ::testing::Values(
        testing::Shape{.n_heads = 1, .group = 1, .dim = 64, .n_rows = 70},
        testing::Shape{.n_heads = 2, .group = 4, .dim = 128, .n_rows = 301},
        testing::Shape{.n_heads = 3, .group = 2, .dim = 80, .n_rows = 129, .n_queries = 17},
        testing::Shape{.n_heads = 1, .group = 8, .dim = 256, .n_rows = 90, .n_queries = 100},
        testing::Shape{.n_heads = 2, .group = 2, .dim = 64, .n_rows = 100, .type = VASE_Q8_0},
        testing::Shape{.n_heads = 2, .group = 2, .dim = 96, .n_rows = 100, .type = VASE_Q4_0},
        testing::Shape{.n_heads = 2, .group = 1, .dim = 192, .n_rows = 65, .values_dim = 128}));

TEST(Cur, ProjectionIsNormalAndRenewed) {
  // |k G|^2 over many projections averages |k|^2, with relative standard deviation sqrt(2 / (20 *
  // evictions)).
  testing::RandomLayer random({.n_heads = 1, .group = 1, .dim = 64, .n_rows = 8}, 5);
  vase_layer layer = random.view();
  vase_params params = vase_params_default(nullptr, 256);
  constexpr uint32_t kEvictions = 400;
  double ratio = 0;
  std::vector<float> first;
  for (uint32_t eviction = 0; eviction < kEvictions; ++eviction) {
    layer.eviction = eviction;
    const HeadOf head(layer, 0);
    const auto found = run(head.head(), cur_leverage_bytes(params, layer, 8),
                           [&](Arena& arena, std::span<float> out) {
                             cur_leverage(head.head(), params, best_kernels(), arena, out);
                           });
    const double k2 = dot(head.matrix(layer.keys)[0], head.matrix(layer.keys)[0]);
    const double v2 = dot(head.matrix(layer.values)[0], head.matrix(layer.values)[0]);
    ratio += static_cast<double>(found[0]) / (k2 * v2) / kEvictions;
    if (eviction == 0)
      first = found;
    else
      EXPECT_NE(found, first) << "eviction " << eviction;
  }
  // E[|kG|^2 |vG|^2] = |k|^2 |v|^2 (1 + 2 cos^2 / 20); cos is small for random rows of 64 elements.
  EXPECT_NEAR(ratio, 1.0, 0.12);

  params.resample = 0;
  layer.eviction = 17;
  const HeadOf head(layer, 0);
  const auto fixed = run(head.head(), cur_leverage_bytes(params, layer, 8),
                         [&](Arena& arena, std::span<float> out) {
                           cur_leverage(head.head(), params, best_kernels(), arena, out);
                         });
  EXPECT_EQ(fixed, first);
}

}  // namespace
}  // namespace vase
