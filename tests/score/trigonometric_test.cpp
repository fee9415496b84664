// TriAttention's score against its formula in double precision, keys turned back and distances one
// by one.
#include "score/trigonometric.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "core/pair_layout.hpp"
#include "score/head_of.hpp"

namespace vase {
namespace {

using testing::HeadOf;
using testing::Matrix;
using testing::RandomLayer;
using testing::run;
using testing::Shape;
using Complex = std::complex<double>;

/// The score of one query head, before it is standardised.
std::vector<double> of_query_head(const vase_layer& layer, const Matrix& keys, int32_t query_head,
                                  int32_t coming) {
  const PairLayout layout = pair_layout(layer.rope, layer.keys.dim);
  const float* usual = layer.calibration + int64_t{query_head} * 3 * layout.pairs;
  std::vector<double> scores;
  for (size_t i = 0; i < keys.size(); ++i) {
    double score = 0;
    for (int32_t f = 0; f < layout.pairs; ++f) {
      const double frequency =
          f < layout.turned ? static_cast<double>(layer.rope.frequencies[f]) : 0.0;
      const auto position = static_cast<double>(i);
      const Complex stored(keys[i][static_cast<size_t>(layout.first(f))],
                           keys[i][static_cast<size_t>(layout.second(f))]);
      const Complex key = stored * std::polar(1.0, -frequency * position);
      const Complex query(usual[f], usual[layout.pairs + f]);
      double ahead = 0;
      for (int offset = 1; offset <= 65536; offset *= 2) {
        const double distance = coming - position + offset;
        ahead += (query * std::conj(key) * std::polar(1.0, frequency * distance)).real() / 17;
      }
      const auto length = static_cast<double>(usual[2 * layout.pairs + f]);
      score += ahead + (length - std::abs(query)) * std::abs(key);
    }
    scores.push_back(score);
  }
  return scores;
}

std::vector<double> by_formula(const HeadOf& head_of, const vase_layer& layer) {
  const Matrix keys = head_of.matrix(layer.keys);
  const Head& head = head_of.head();
  std::vector<double> best(keys.size(), -1e300);
  for (int32_t g = 0; g < head.group(); ++g) {
    const std::vector<double> own = of_query_head(layer, keys, head.index * head.group() + g,
                                                  static_cast<int32_t>(keys.size()));
    double mean = 0, variance = 0;
    for (const double s : own) mean += s / static_cast<double>(own.size());
    for (const double s : own)
      variance += (s - mean) * (s - mean) / static_cast<double>(own.size());
    for (size_t i = 0; i < own.size(); ++i)
      best[i] = std::max(best[i], (own[i] - mean) / std::sqrt(variance));
  }
  return best;
}

class TrigonometricTest : public ::testing::TestWithParam<Shape> {};

TEST_P(TrigonometricTest, IsTheFormula) {
  RandomLayer random(GetParam(), 51);
  vase_layer layer = random.view();
  for (const int32_t rotation : {0, 16}) {
    layer.keys.rotation = rotation;
    const HeadOf head_of(layer, layer.n_heads - 1);
    const auto found = run(head_of.head(), trigonometric_bytes(layer, layer.n_rows),
                           [&](Arena& arena, std::span<float> out) {
                             trigonometric(head_of.head(), best_kernels(), arena, out);
                           });
    const std::vector<double> expected = by_formula(head_of, layer);
    for (size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(static_cast<double>(found[i]), expected[i], 2e-4)
          << "row " << i << " rotation " << rotation;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, TrigonometricTest,
    ::testing::Values(
        Shape{.dim = 64, .n_rows = 100, .rope_pairs = 32, .rope_stride = 1},
        Shape{.group = 1, .dim = 128, .n_rows = 300, .rope_pairs = 64, .rope_stride = 64},
        Shape{.dim = 80, .n_rows = 90, .rope_pairs = 20, .rope_stride = 20},
        Shape{.dim = 96, .n_rows = 70, .rope_pairs = 13, .rope_stride = 48},
        Shape{.dim = 48, .n_rows = 50, .rope_pairs = 8, .rope_stride = 36},
        Shape{.dim = 64, .n_rows = 60, .rope_pairs = 0}));

TEST(PairLayout, HasEachElementOnce) {
  for (const int32_t dim : {64, 96, 37})
    for (const int32_t turned : {0, 3, 8, dim / 2})
      for (int32_t stride = 1; stride < dim; ++stride) {
        if (stride != 1 && (stride < turned || stride > dim - turned)) continue;
        const PairLayout layout = pair_layout(turned, stride, dim);
        std::vector<int> times(static_cast<size_t>(dim));
        for (int32_t pair = 0; pair < layout.pairs; ++pair) {
          ++times.at(static_cast<size_t>(layout.first(pair)));
          ++times.at(static_cast<size_t>(layout.second(pair)));
          if (pair < turned) {
            EXPECT_EQ(layout.first(pair), stride == 1 ? 2 * pair : pair);
            EXPECT_EQ(layout.second(pair) - layout.first(pair), stride);
          }
        }
        EXPECT_EQ(std::count(times.begin(), times.end(), 1), dim / 2 * 2)
            << dim << " " << turned << " " << stride;
        EXPECT_EQ(*std::max_element(times.begin(), times.end()), 1);
      }
}

}  // namespace
}  // namespace vase
