// The distance of values from their mean against its formula.
#include "score/distance.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "score/head_of.hpp"

namespace vase {
namespace {

using testing::HeadOf;
using testing::Matrix;
using testing::run;

std::vector<double> distances_by_formula(const Matrix& rows) {
  std::vector<double> mean(rows[0].size()), distances;
  for (const auto& row : rows)
    for (size_t d = 0; d < row.size(); ++d) mean[d] += row[d] / static_cast<double>(rows.size());
  for (const auto& row : rows) {
    double sum = 0;
    for (size_t d = 0; d < row.size(); ++d) sum += (row[d] - mean[d]) * (row[d] - mean[d]);
    distances.push_back(std::sqrt(sum));
  }
  return distances;
}

std::vector<float> distances_of(const Head& head, const vase_rows& rows, const Kernels& kernels) {
  return run(head, distance_from_mean_bytes(rows), [&](Arena& arena, std::span<float> out) {
    distance_from_mean({head, rows, kernels}, arena, out);
  });
}

class DistanceTest : public testing::HeadTest {};

TEST_P(DistanceTest, IsThatFromTheMeanWhetherRowsAreStoredRotatedOrNot) {
  for (const int32_t rotation : {0, layer_.values.dim % 16 == 0 ? 16 : 0}) {
    vase_rows stored = layer_.values;
    stored.rotation = rotation;  // the true rows are others, their distances the same
    const std::vector<double> expected = distances_by_formula(head_of_.matrix(stored));
    const std::vector<float> found = distances_of(head_, stored, kernels_);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(static_cast<double>(found[i]), expected[i], 1e-5 * expected[i]) << "row " << i;
    EXPECT_EQ(found, distances_of(head_, stored, reference_kernels()));
  }
}

TEST(Distances, OfRowsFarFromTheOriginAreAsExact) {
  std::vector<float> rows(900 * 48);
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i] = 500.0f + std::sin(static_cast<float>(i) * 0.37f);
  std::vector<int32_t> cells;
  const vase_layer layer = testing::layer_of(rows, 48, cells);
  const HeadOf head(layer, 0);
  const std::vector<float> found = distances_of(head.head(), layer.keys, best_kernels());
  const std::vector<double> expected = distances_by_formula(head.matrix(layer.keys));
  for (size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(static_cast<double>(found[i]), expected[i], 1e-4 * expected[i]) << "row " << i;
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, DistanceTest,
    ::testing::Values(testing::Shape{.n_heads = 1, .dim = 64, .n_rows = 70},
                      testing::Shape{.n_heads = 2, .dim = 128, .n_rows = 301},
                      testing::Shape{.n_heads = 3, .dim = 37, .n_rows = 129},
                      testing::Shape{.n_heads = 1, .dim = 256, .n_rows = 1},
                      testing::Shape{.n_heads = 2, .dim = 64, .n_rows = 100, .type = VASE_Q8_0},
                      testing::Shape{.n_heads = 2, .dim = 96, .n_rows = 100, .type = VASE_Q4_0}));

}  // namespace
}  // namespace vase
