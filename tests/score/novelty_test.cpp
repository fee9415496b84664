// Novelty against its formula: the squared distance of each row to the nearest newer one.
#include "score/novelty.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "core/leverage_rule.hpp"
#include "score/head_of.hpp"

namespace vase {
namespace {

using testing::HeadOf;
using testing::Matrix;
using testing::run;

double squared_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t d = 0; d < a.size(); ++d) sum += (a[d] - b[d]) * (a[d] - b[d]);
  return sum;
}

double novelty_by_formula(const Matrix& rows, size_t i) {
  const size_t newest = rows.size() - std::min<size_t>(rows.size(), kNoveltyRows);
  double least = std::numeric_limits<float>::max();
  for (size_t j = std::max(i + 1, newest); j < rows.size(); ++j)
    least = std::min(least, squared_distance(rows[i], rows[j]));
  return least;
}

/// The head whose newest `recency` rows are no candidates.
Head with_window(const Head& all, size_t recency) {
  const size_t n = all.rows.size() - recency;
  return {all.layer,
          all.index,
          all.rows.first(n),
          all.cells.first(n),
          all.positions.first(n),
          all.cells.subspan(n),
          all.positions.subspan(n)};
}

std::vector<float> novelty_of(const Head& head, const vase_rows& rows, const Kernels& kernels) {
  return run(head, novelty_bytes(rows), [&](Arena& arena, std::span<float> out) {
    novelty({head, rows, kernels}, arena, out);
  });
}

class NoveltyTest : public testing::HeadTest {};

TEST_P(NoveltyTest, IsTheSquaredDistanceToTheNearestNewerRow) {
  const Matrix rows = head_of_.matrix(layer_.keys);
  for (const size_t recency : {0u, 1u, 64u}) {
    const Head head = with_window(head_, recency);
    const std::vector<float> found = novelty_of(head, layer_.keys, kernels_);
    ASSERT_EQ(found.size(), rows.size() - recency);
    for (size_t i = 0; i < found.size(); ++i) {
      const double expected = novelty_by_formula(rows, i);
      ASSERT_NEAR(static_cast<double>(found[i]), expected, 1e-5 * expected)
          << "row " << i << ", window of " << recency;
    }
    EXPECT_EQ(found, novelty_of(head, layer_.keys, reference_kernels()));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, NoveltyTest,
    ::testing::Values(testing::Shape{.n_heads = 1, .dim = 64, .n_rows = 70},
                      testing::Shape{.n_heads = 2, .dim = 128, .n_rows = 601},
                      testing::Shape{.n_heads = 3, .dim = 80, .n_rows = 257},
                      testing::Shape{.n_heads = 1, .dim = 37, .n_rows = 256},
                      testing::Shape{.n_heads = 2, .dim = 64, .n_rows = 300, .type = VASE_Q8_0}));

TEST(Novelty, IsNothingForAKeyThatCameAgain) {
  std::vector<float> rows(80 * 16);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i / 16 % 40) + 300.0f;
  std::vector<int32_t> cells;
  const vase_layer layer = testing::layer_of(rows, 16, cells);
  const HeadOf head(layer, 0);
  const std::vector<float> found = novelty_of(head.head(), layer.keys, best_kernels());
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(found[i], 0.0f) << "row " << i;
  for (size_t i = 40; i < 79; ++i) EXPECT_NEAR(found[i], 16.0f, 1e-3f) << "row " << i;
  EXPECT_EQ(found[79], std::numeric_limits<float>::max());
}

}  // namespace
}  // namespace vase
