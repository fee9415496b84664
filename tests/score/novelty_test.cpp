// Novelty against its formula: the softened squared distance of each row to the nearest newer ones.
#include "score/novelty.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/novelty_rule.hpp"
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

double least_distance(const Matrix& rows) {
  const size_t count = std::min<size_t>(rows.size(), kScaleRows);
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    const std::vector<double>& row = rows[i * rows.size() / count];
    sum += testing::dot(row, row);
  }
  return static_cast<double>(kLeastShare) * sum / static_cast<double>(count);
}

double novelty_by_formula(const Matrix& rows, size_t i) {
  const size_t newest = rows.size() - std::min<size_t>(rows.size(), kNoveltyRows);
  double crowd = 0;
  for (size_t j = std::max(i + 1, newest); j < rows.size(); ++j)
    crowd += std::pow(std::max(squared_distance(rows[i], rows[j]), least_distance(rows)), -3);
  return std::pow(crowd, -1.0 / 3);
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

TEST_P(NoveltyTest, IsTheSoftenedSquaredDistanceToTheNewerRows) {
  const Matrix rows = head_of_.matrix(layer_.keys);
  for (const size_t recency : {0u, 1u, 64u}) {
    const Head head = with_window(head_, recency);
    const std::vector<float> found = novelty_of(head, layer_.keys, kernels_);
    ASSERT_EQ(found.size(), rows.size() - recency);
    for (size_t i = 0; i < found.size(); ++i) {
      if (i + 1 == rows.size()) {
        EXPECT_GT(found[i], 1e4f * *std::max_element(found.begin(), found.end() - 1));
        continue;
      }
      const double expected = novelty_by_formula(rows, i);
      ASSERT_NEAR(static_cast<double>(found[i]), expected, 1e-5 * expected)
          << "row " << i << ", window of " << recency;
    }
    EXPECT_EQ(found, novelty_of(head, layer_.keys, reference_kernels()));
  }
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

TEST_P(NoveltyTest, OfKeysAsTheyWereBeforeRope) {
  const int32_t half = layer_.keys.dim / 2;
  std::vector<float> frequencies;
  for (int32_t p = 0; p < half; ++p)
    frequencies.push_back(std::pow(1e4f, -static_cast<float>(p) / static_cast<float>(half)));
  for (const vase_rope& rope :
       {vase_rope{frequencies.data(), half, 1}, vase_rope{frequencies.data(), half, half},
        vase_rope{frequencies.data(), half / 2, half / 2}})
    for (const int32_t rotation : {0, layer_.keys.dim % 16 == 0 ? 16 : 0}) {
      vase_layer layer = layer_;
      layer.rope = rope;
      layer.keys.rotation = rotation;
      const HeadOf head_of(layer, layer.n_heads - 1);
      Matrix rows = head_of.matrix(layer.keys);
      turn_back(rope, rows);
      const size_t bytes = upright_bytes(rope) + novelty_bytes(layer.keys);
      const auto found = run(head_of.head(), bytes, [&](Arena& arena, std::span<float> out) {
        novelty(upright_keys(head_of.head(), kernels_, arena), arena, out);
      });
      for (size_t i = 0; i + 1 < found.size(); ++i) {
        const double expected = novelty_by_formula(rows, i);
        ASSERT_NEAR(static_cast<double>(found[i]), expected, 1e-4 * expected)
            << "row " << i << " stride " << rope.stride << " rotation " << rotation;
      }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, NoveltyTest,
    ::testing::Values(testing::Shape{.n_heads = 1, .dim = 64, .n_rows = 70},
                      testing::Shape{.n_heads = 2, .dim = 128, .n_rows = 601},
                      testing::Shape{.n_heads = 3, .dim = 80, .n_rows = 257},
                      testing::Shape{.n_heads = 1, .dim = 37, .n_rows = 256},
                      testing::Shape{.n_heads = 2, .dim = 64, .n_rows = 300, .type = VASE_Q8_0}));

/// 40 keys 4 apart in a row, far from the origin, that come twice.
TEST(Novelty, IsLeastForAKeyThatCameAgain) {
  std::vector<float> rows(80 * 16);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i / 16 % 40) + 300.0f;
  std::vector<int32_t> cells;
  const vase_layer layer = testing::layer_of(rows, 16, cells);
  const HeadOf head(layer, 0);
  const std::vector<float> found = novelty_of(head.head(), layer.keys, best_kernels());
  float square = 0;
  for (const float x : rows) square += x * x / 80;
  for (size_t i = 0; i < 40; ++i)
    EXPECT_NEAR(found[i], kLeastShare * square, 2.5e-3f) << "row " << i;
  // Those after them add up: 1 + 2^-6 + 3^-6 + ... of that of the next.
  for (size_t i = 40; i < 78; ++i) EXPECT_NEAR(found[i], 15.9f, 0.1f) << "row " << i;
  EXPECT_NEAR(found[78], 16.0f, 1e-3f);
  EXPECT_GT(found[79], 1e6f * found[78]);
}

TEST(Novelty, TheUnitIsAPowerOfTwoThatKeepsLengthsInRange) {
  for (float square = 1e-29f; square < 9e29f; square *= 1.7f) {
    const KeyScale scale = key_scale(square);
    const float scaled = square * scale.factor * scale.factor;
    EXPECT_GE(scaled, 256.0f) << square;
    EXPECT_LT(scaled, 1024.0f) << square;
    int exponent = 0;
    EXPECT_EQ(std::frexp(scale.factor, &exponent), 0.5f) << square;
    EXPECT_NEAR(scale.least, kLeastShare * scaled, 1e-9f) << square;
  }
  for (const float square : {0.0f, 1e-31f, 1e31f, std::numeric_limits<float>::infinity()})
    EXPECT_EQ(key_scale(square).factor, 1.0f) << square;
}

TEST(Novelty, IsLessWithMoreKeysThatNear) {
  constexpr size_t kDim = 16;
  std::vector<float> rows;
  for (const float x : {0.0f, 100.0f, 3.0f, 103.0f, 103.0f}) {  // the second has two at distance 3
    rows.push_back(x);
    rows.resize((rows.size() + kDim - 1) / kDim * kDim, 0.0f);
  }
  std::vector<int32_t> cells;
  const vase_layer layer = testing::layer_of(rows, kDim, cells);
  const HeadOf head(layer, 0);
  const std::vector<float> found = novelty_of(head.head(), layer.keys, best_kernels());
  EXPECT_NEAR(found[0], 9.0f, 1e-3f);
  EXPECT_NEAR(found[1], 9.0f / std::cbrt(2.0f), 1e-3f);
}

}  // namespace
}  // namespace vase
