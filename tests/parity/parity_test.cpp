// The outcomes of published code on stored inputs, against ours: VaSE's (its EvictLayer, one call a
// mode), and that of the other policies' authors where it has none. The modes of VaSE's code take
// the first rows of the cache for sinks only where their name says so, and protect n_protect rows;
// everything else is as published.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "core/thread_pool.hpp"
#include "parity/npz.hpp"
#include "support/inclusion.hpp"
#include "support/selection.hpp"

namespace vase {
namespace {

namespace fs = std::filesystem;

class ParityTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const fs::path file = fs::path(VASE_PARITY_FOLDER) / (std::string(GetParam()) + ".npz");
    ASSERT_TRUE(fs::exists(file)) << file << " is not there";
    arrays_ = testing::read_npz(file.string());
    arrays_.merge(testing::read_npz(file.parent_path() / "rivals" / file.filename()));
    const auto& shape = arrays_.at("K").shape;
    n_ = static_cast<int32_t>(shape[0]);
    heads_ = static_cast<int32_t>(shape[1]);
    const auto dim = static_cast<int32_t>(shape[2]);
    layer_.keys = {arrays_.at("K").data.data(), VASE_F32,         dim,
                   int64_t{heads_} * dim * 4,   int64_t{dim} * 4, 0};
    layer_.values = layer_.keys;
    layer_.values.data = arrays_.at("V").data.data();
    layer_.n_heads = heads_;
    layer_.n_rows = n_;
    layer_.queries = arrays_.at("Q").data.data();
    layer_.n_query_heads = static_cast<int32_t>(arrays_.at("Q").shape[0]);
    layer_.n_queries = static_cast<int32_t>(arrays_.at("Q").shape[1]);
  }

  bool has(const std::string& name) const { return arrays_.contains(name); }
  float scalar(const std::string& name) const { return arrays_.at(name).data.at(0); }

  vase_params params(const char* policy) const {
    vase_params p = testing::params_for(policy, static_cast<int32_t>(scalar("budget")));
    p.recency = static_cast<int32_t>(scalar("recency"));
    p.protect = static_cast<int32_t>(scalar("n_protect"));
    p.temperature = scalar("temperature");
    p.lambda = scalar("rkv_lambda");
    return p;
  }

  /// Expects the rows that `mode` keeps.
  void expect_kept(const vase_params& p, const std::string& mode) {
    const std::vector<uint8_t> keep = testing::select(p, layer_);
    const std::vector<float>& published = arrays_.at(mode + ".kept").data;
    for (size_t i = 0; i < keep.size(); ++i)
      EXPECT_EQ(keep[i], static_cast<uint8_t>(published[i]))
          << mode << ": head " << i / static_cast<size_t>(n_) << " row "
          << i % static_cast<size_t>(n_);
  }

  /// Expects our weights to be a multiple of `mode`'s, within 1e-5 relative, and protected rows to
  /// be protected.
  void expect_weights(const vase_params& p, const std::string& mode) {
    const std::vector<float> ours = testing::scores(p, layer_);
    const std::vector<float>& published = arrays_.at(mode + ".weights").data;
    const auto candidates = static_cast<size_t>(n_ - p.recency);
    for (size_t h = 0; h < static_cast<size_t>(heads_); ++h)
      for (size_t i = 0; i < candidates; ++i) {
        const float w = ours[h * static_cast<size_t>(n_) + i],
                    expected = published[h * candidates + i];
        if (expected == 0)
          EXPECT_TRUE(std::isinf(w))
              << mode << ": head " << h << " row " << i << " should be protected";
        else
          EXPECT_NEAR(w, expected, 1e-5f * expected) << mode << ": head " << h << " row " << i;
      }
  }

  /// The codes of KeyDiff and TriAttention have neither sinks nor a recency window.
  vase_params params_of_rival(const char* policy) const {
    vase_params p = testing::params_for(policy, static_cast<int32_t>(scalar("budget")));
    p.sinks = p.recency = 0;
    return p;
  }

  void expect_scores(const vase_params& p, const std::string& mode, float within) {
    const std::vector<float> ours = testing::scores(p, layer_);
    const std::vector<float>& published = arrays_.at(mode + ".scores").data;
    ASSERT_EQ(ours.size(), published.size());
    for (size_t i = 0; i < ours.size(); ++i)
      EXPECT_NEAR(ours[i], published[i], within) << mode << ": row " << i;
  }

  /// Compares how often each row survives with `mode`'s share of as many draws.
  void expect_inclusion(const vase_params& p, const std::string& mode) {
    const auto draws = static_cast<int>(scalar("draws"));
    ThreadPool pool(2);
    const size_t rows = static_cast<size_t>(heads_) * static_cast<size_t>(n_);
    std::vector<std::vector<int>> counts(2, std::vector<int>(rows));
    pool.parallel_for(draws, [&](int draw, int worker) {
      vase_layer layer = layer_;
      layer.eviction = static_cast<uint32_t>(draw);
      const std::vector<uint8_t> keep = testing::select(p, layer);
      for (size_t i = 0; i < rows; ++i) counts[static_cast<size_t>(worker)][i] += keep[i];
    });
    std::vector<double> ours(rows), published(rows);
    for (size_t i = 0; i < rows; ++i) {
      ours[i] = static_cast<double>(counts[0][i] + counts[1][i]) / draws;
      published[i] = static_cast<double>(arrays_.at(mode + ".inclusion").data[i]);
    }
    testing::InclusionTest test;
    test.add(ours, published, draws);
    EXPECT_GT(test.rows, 100);
    EXPECT_LT(test.chi2, test.limit()) << mode << ": " << test.rows << " rows";
    RecordProperty(mode + "_chi2_per_row", std::to_string(test.chi2 / test.rows));
  }

  std::map<std::string, testing::Array> arrays_;
  vase_layer layer_{};
  int32_t n_ = 0, heads_ = 0;
};

TEST_P(ParityTest, SnapKv) {
  vase_params p = params("snapkv");
  p.sinks = 0;
  expect_kept(p, "attn");
}

TEST_P(ParityTest, RKv) {
  vase_params p = params("rkv");
  p.sinks = 0;
  expect_kept(p, "attn_rkv");
}

TEST_P(ParityTest, VaseCur) {
  layer_.gauss = arrays_.at("cur_resample_gauss.G").data.data();
  expect_kept(params("vase-cur"), "cur_resample_gauss");
}

TEST_P(ParityTest, EvictLarge) {
  vase_params p = params("evict-large");
  p.sinks = 0;
  expect_kept(p, "evict_large_range");
}

TEST_P(ParityTest, KeyDiff) {
  const vase_params p = params_of_rival("keydiff");
  expect_kept(p, "keydiff");
  expect_scores(p, "keydiff", 1e-6f);
}

TEST_P(ParityTest, TriAttention) {
  const auto pairs = static_cast<int32_t>(arrays_.at("triattention.frequencies").data.size());
  layer_.rope = {arrays_.at("triattention.frequencies").data.data(), pairs, pairs};
  layer_.calibration = arrays_.at("triattention.calibration").data.data();
  const vase_params p = params_of_rival("triattention");
  expect_kept(p, "triattention");
  // Phases of f32 at distances of 65,536 tokens, as the published code has them, are off by 0.004.
  expect_scores(p, "triattention", 5e-3f);
}

TEST_P(ParityTest, VaseWeights) { expect_weights(params("vase"), "range_sink_sample_attn"); }

TEST_P(ParityTest, VaseDraws) { expect_inclusion(params("vase"), "range_sink_sample_attn"); }

TEST_P(ParityTest, DrawWithoutProtection) {
  if (!has("attn_sample.weights")) GTEST_SKIP() << "not stored for this input";
  vase_params p = params("vase");
  p.sinks = p.protect = 0;
  expect_weights(p, "attn_sample");
  expect_inclusion(p, "attn_sample");
}

/// The published ablation that protects by range and keeps the highest attention: no policy of
/// ours, but made of the same parts: what VaSE protects (without sinks), and the top of its
/// weights.
TEST_P(ParityTest, ProtectionWithTopAttention) {
  if (!has("range_attn.kept")) GTEST_SKIP() << "not stored for this input";
  vase_params p = params("vase");
  p.sinks = 0;
  const std::vector<float> weights = testing::scores(p, layer_);
  const std::vector<float>& published = arrays_.at("range_attn.kept").data;
  const auto n = static_cast<size_t>(n_);
  for (size_t h = 0; h < static_cast<size_t>(heads_); ++h) {
    std::vector<size_t> ranked(n);
    std::iota(ranked.begin(), ranked.end(), size_t{0});
    std::stable_sort(ranked.begin(), ranked.end(),
                     [&](size_t a, size_t b) { return weights[h * n + a] > weights[h * n + b]; });
    for (size_t rank = 0; rank < n; ++rank)
      EXPECT_EQ(published[h * n + ranked[rank]] != 0, rank < static_cast<size_t>(p.budget))
          << "row " << ranked[rank];
  }
}

INSTANTIATE_TEST_SUITE_P(PublishedCode, ParityTest,
                         ::testing::Values("gauss_a", "gauss_b", "smollm2_layer4",
                                           "smollm2_layer20"),
                         [](const auto& file) { return std::string(file.param); });

}  // namespace
}  // namespace vase
