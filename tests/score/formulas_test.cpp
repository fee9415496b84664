// Each score against its formula in double precision, written once more in the plainest way.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "score/attention.hpp"
#include "score/cur.hpp"
#include "score/head_of.hpp"
#include "score/key_difference.hpp"
#include "score/redundancy.hpp"
#include "score/value_range.hpp"

namespace vase {
namespace {

using testing::dot;
using testing::HeadOf;
using testing::Matrix;
using testing::run;

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

class FormulasTest : public testing::HeadTest {
 protected:
  vase_params params_ = vase_params_default(nullptr, 256);
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

TEST_P(FormulasTest, KeyDifference) {
  // The newest rows are no candidates, but count in the mean.
  constexpr size_t kRecent = 20;
  Head head = head_;
  const size_t n = head.cells.size() - kRecent;
  head.recent_cells = head.cells.subspan(n);
  head.rows = head.rows.first(n);
  head.cells = head.cells.first(n);
  const auto found =
      run(head, key_difference_bytes(layer_),
          [&](Arena& arena, std::span<float> out) { key_difference(head, kernels_, arena, out); });
  const Matrix keys = head_of_.matrix(layer_.keys);
  std::vector<double> mean(keys[0].size());
  for (const auto& key : keys)
    for (size_t d = 0; d < mean.size(); ++d) mean[d] += key[d] / std::sqrt(dot(key, key));
  for (size_t i = 0; i < found.size(); ++i) {
    const double cosine = dot(keys[i], mean) / std::sqrt(dot(keys[i], keys[i]) * dot(mean, mean));
    ASSERT_NEAR(static_cast<double>(found[i]), -cosine, 2e-6) << "row " << i;
  }
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
