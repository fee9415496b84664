// What the C interface refuses, and that it says so in words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "support/random_layer.hpp"
#include "support/selection.hpp"
#include "vase/vase.h"

extern "C" int32_t policies_seen_from_c(void);
extern "C" size_t workspace_seen_from_c(const vase_rows* rows, int32_t n_rows);
int64_t allocations_so_far();

namespace vase {
namespace {

using ::testing::HasSubstr;

class CapiTest : public ::testing::Test {
 protected:
  vase_status try_select() {
    return vase_select(&params_, &layer_, 0, layer_.n_heads, keep_.data(), workspace_.data(),
                       workspace_.size());
  }
  /// Expects a refusal whose message names `word`.
  void expect_refused(vase_status status, const char* word) {
    EXPECT_EQ(try_select(), status) << word;
    EXPECT_THAT(vase_last_error(), HasSubstr(word));
  }

  testing::RandomLayer random_{{}, 1};
  vase_layer layer_ = random_.view();
  vase_params params_ = testing::params_for("vase", 256);
  std::vector<uint8_t> keep_ = std::vector<uint8_t>(2 * 320, 7);
  std::vector<std::byte> workspace_ =
      std::vector<std::byte>(vase_workspace_size(&params_, &layer_));
};

TEST_F(CapiTest, HeaderIsC) {
  EXPECT_EQ(policies_seen_from_c(), vase_policy_count());
  EXPECT_GT(workspace_seen_from_c(&layer_.keys, layer_.n_rows), 0U) << vase_last_error();
}

TEST_F(CapiTest, PoliciesAreListed) {
  EXPECT_EQ(vase_policy_at(-1), nullptr);
  EXPECT_EQ(vase_policy_at(vase_policy_count()), nullptr);
  EXPECT_EQ(vase_policy_find("nonsense"), nullptr);
  EXPECT_EQ(vase_policy_find(nullptr), nullptr);
  for (int32_t i = 0; i < vase_policy_count(); ++i) {
    const vase_policy* policy = vase_policy_at(i);
    EXPECT_EQ(vase_policy_find(vase_policy_name(policy)), policy);
    EXPECT_GT(std::string(vase_policy_summary(policy)).size(), 10u);
  }
  EXPECT_EQ(vase_policy_needs_queries(vase_policy_find("vase")), 1);
  EXPECT_EQ(vase_policy_needs_queries(vase_policy_find("vase-cur")), 0);
  EXPECT_EQ(vase_policy_evicts(vase_policy_find("full")), 0);
}

TEST_F(CapiTest, NoPolicyIsAnsweredByNothing) {
  int elsewhere = 0;
  for (const vase_policy* none :
       {vase_policy_find("vase-pluss"), reinterpret_cast<const vase_policy*>(&elsewhere)}) {
    EXPECT_STREQ(vase_policy_name(none), "");
    EXPECT_THAT(vase_last_error(), HasSubstr("policy"));
    EXPECT_STREQ(vase_policy_summary(none), "");
    EXPECT_EQ(vase_policy_needs_queries(none), 0);
    EXPECT_EQ(vase_policy_evicts(none), 0);
    EXPECT_EQ(vase_policy_default_pin(none), 0.0f);
    EXPECT_EQ(vase_policy_uses_rope(none), 0);
    EXPECT_EQ(vase_policy_protects_widest(none), 0);
    EXPECT_EQ(vase_policy_is_ablation(none), 0);
    EXPECT_EQ(vase_policy_looks_at(none, "lambda"), 0);
    const vase_params params = vase_params_default(none, 4096);
    EXPECT_EQ(params.recency, 64);
    EXPECT_EQ(vase_params_check(&params), VASE_INVALID_ARGUMENT);
    EXPECT_EQ(vase_workspace_size(&params, &layer_), 0u);
  }
}

// Every pointer of every call, one after the other.
TEST_F(CapiTest, NullIsRefusedEverywhere) {
  std::vector<float> scores(keep_.size());
  std::vector<int32_t> rows(2);
  void* const space = workspace_.data();
  const size_t size = workspace_.size();
  const vase_params* const params = &params_;
  const vase_layer* const layer = &layer_;
  EXPECT_EQ(vase_params_check(nullptr), VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_workspace_size(params, nullptr), 0u);
  const vase_status refused = VASE_INVALID_ARGUMENT;
  EXPECT_EQ(vase_scores(nullptr, layer, 0, 1, scores.data(), space, size), refused);
  EXPECT_EQ(vase_scores(params, nullptr, 0, 1, scores.data(), space, size), refused);
  EXPECT_EQ(vase_scores(params, layer, 0, 1, nullptr, space, size), refused);
  EXPECT_EQ(vase_scores(params, layer, 0, 1, scores.data(), nullptr, size), refused);
  EXPECT_EQ(vase_protected(nullptr, layer, 0, 1, rows.data(), space, size), refused);
  EXPECT_EQ(vase_protected(params, nullptr, 0, 1, rows.data(), space, size), refused);
  EXPECT_EQ(vase_protected(params, layer, 0, 1, nullptr, space, size), refused);
  EXPECT_EQ(vase_protected(params, layer, 0, 1, rows.data(), nullptr, size), refused);
  EXPECT_EQ(vase_value_ranges(nullptr, 0, 1, scores.data(), space, size), refused);
  EXPECT_EQ(vase_value_ranges(layer, 0, 1, nullptr, space, size), refused);
  EXPECT_EQ(vase_value_ranges(layer, 0, 1, scores.data(), nullptr, size), refused);
  EXPECT_EQ(vase_policy_looks_at(vase_policy_find("vase"), nullptr), 0);
  EXPECT_EQ(vase_compact(nullptr, keep_.data(), 0, 0, 1, nullptr), refused);
  // What may be NULL inside: no cells and no positions are those of the rows themselves.
  layer_.cells = layer_.positions = nullptr;
  EXPECT_EQ(try_select(), VASE_OK);
  EXPECT_EQ(vase_compact(layer, keep_.data(), 0, 0, 2, nullptr), VASE_OK);
}

TEST_F(CapiTest, DefaultsAreThePublishedOnes) {
  const vase_params params = testing::params_for("vase", 4096);
  EXPECT_EQ(params.protect, 1024);
  EXPECT_EQ(params.recency, 64);
  EXPECT_EQ(params.interval, 64);
  EXPECT_EQ(params.window, 64);
  EXPECT_EQ(params.sinks, 4);
  EXPECT_EQ(params.pooling, 5);
  EXPECT_EQ(params.temperature, 1.0f);
}

TEST_F(CapiTest, TheDefaultPolicyNeedsNoQueries) {
  EXPECT_STREQ(vase_policy_name(vase_policy_default()), "vase-plus");
  EXPECT_EQ(vase_policy_needs_queries(vase_policy_default()), 0);
}

TEST_F(CapiTest, VasePlusPinsThePrompt) {
  const vase_policy* plus = vase_policy_find("vase-plus");
  EXPECT_EQ(vase_policy_default_pin(plus), 0.5f);
  EXPECT_EQ(vase_policy_default_pin(vase_policy_find("vase")), 0.0f);
}

TEST_F(CapiTest, RefusesBadParameters) {
  const auto with = [&](auto change, const char* word) {
    const vase_params saved = params_;
    change(params_);
    expect_refused(VASE_INVALID_ARGUMENT, word);
    params_ = saved;
  };
  with([](vase_params& p) { p.policy = nullptr; }, "policy");
  with([](vase_params& p) { p.policy = reinterpret_cast<const vase_policy*>(&p); }, "policy");
  with([](vase_params& p) { p.budget = 0; }, "budget");
  with([](vase_params& p) { p.budget = 68; }, "too small");
  with([](vase_params& p) { p.recency = -1; }, "recency");
  with([](vase_params& p) { p.interval = 0; }, "interval");
  with([](vase_params& p) { p.window = 0; }, "window");
  with([](vase_params& p) { p.sinks = -2; }, "sinks");
  with([](vase_params& p) { p.protect = -2; }, "-1, VASE_PROTECT_AUTO");
  with([](vase_params& p) { p.pooling = 4; }, "odd");
  with([](vase_params& p) { p.projections = 0; }, "projections");
  with([](vase_params& p) { p.temperature = 0; }, "temperature");
  with([](vase_params& p) { p.temperature = std::numeric_limits<float>::quiet_NaN(); },
       "temperature");
  with([](vase_params& p) { p.lambda = 1.5f; }, "lambda");
  EXPECT_EQ(try_select(), VASE_OK);
}

TEST_F(CapiTest, RefusesBadLayers) {
  const auto with = [&](auto change, const char* word) {
    const vase_layer saved = layer_;
    change(layer_);
    expect_refused(VASE_INVALID_ARGUMENT, word);
    layer_ = saved;
  };
  with([](vase_layer& l) { l.keys.data = nullptr; }, "keys.data");
  with([](vase_layer& l) { l.values.dim = 0; }, "values.dim");
  with([](vase_layer& l) { l.keys.type = VASE_Q8_0, l.keys.dim = 40; }, "q8_0 rows come in blocks");
  with([](vase_layer& l) { l.values.type = VASE_Q4_0, l.values.dim = 40; }, "q4_0 rows come in");
  with([](vase_layer& l) { l.values.rotation = 48; }, "rotation");
  with([](vase_layer& l) { l.n_heads = 0; }, "n_heads");
  with([](vase_layer& l) { l.n_rows = 0; }, "n_rows");
  with([](vase_layer& l) { l.n_query_heads = 5; }, "n_query_heads");
  with([](vase_layer& l) { l.n_queries = 0; }, "n_queries");
  with([](vase_layer& l) { l.scale = -1; }, "scale");
  with([](vase_layer& l) { l.layer = 1 << 16; }, "layer");
  EXPECT_EQ(try_select(), VASE_OK);
  layer_.queries = nullptr;
  expect_refused(VASE_QUERIES_MISSING, "queries");
}

TEST_F(CapiTest, RefusesNullAndSmallBuffers) {
  EXPECT_EQ(vase_select(nullptr, &layer_, 0, 1, keep_.data(), workspace_.data(), workspace_.size()),
            VASE_INVALID_ARGUMENT);
  EXPECT_EQ(
      vase_select(&params_, nullptr, 0, 1, keep_.data(), workspace_.data(), workspace_.size()),
      VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_select(&params_, &layer_, 0, 1, nullptr, workspace_.data(), workspace_.size()),
            VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_select(&params_, &layer_, 0, 1, keep_.data(), nullptr, 0), VASE_INVALID_ARGUMENT);
  EXPECT_EQ(
      vase_select(&params_, &layer_, 0, 1, keep_.data(), workspace_.data(), workspace_.size() - 1),
      VASE_WORKSPACE_TOO_SMALL);
  EXPECT_EQ(
      vase_select(&params_, &layer_, 1, 2, keep_.data(), workspace_.data(), workspace_.size()),
      VASE_INVALID_ARGUMENT);
  EXPECT_THAT(vase_last_error(), HasSubstr("heads 1 .. 2"));
  EXPECT_EQ(vase_workspace_size(nullptr, &layer_), 0u);
}

TEST_F(CapiTest, WorkspaceMayBeUnaligned) {
  ASSERT_EQ(try_select(), VASE_OK);
  const std::vector<uint8_t> expected = keep_;
  std::vector<std::byte> shifted(workspace_.size() + 13);
  EXPECT_EQ(
      vase_select(&params_, &layer_, 0, 2, keep_.data(), shifted.data() + 13, workspace_.size()),
      VASE_OK);
  EXPECT_EQ(keep_, expected);
}

TEST_F(CapiTest, OnlyTheChosenHeadsAreWritten) {
  ASSERT_EQ(
      vase_select(&params_, &layer_, 1, 1, keep_.data(), workspace_.data(), workspace_.size()),
      VASE_OK);
  EXPECT_THAT(std::vector<uint8_t>(keep_.begin(), keep_.begin() + 320), ::testing::Each(7));
  EXPECT_THAT(std::vector<uint8_t>(keep_.begin() + 320, keep_.end()),
              ::testing::Each(::testing::Le(1)));
}

TEST_F(CapiTest, CompactRefusesUnevenMasksAndMovesNothing) {
  ASSERT_EQ(try_select(), VASE_OK);
  const std::vector<int32_t> positions = random_.positions();
  keep_[0] ^= 1;
  EXPECT_EQ(vase_compact(&layer_, keep_.data(), 0, 0, 2, random_.positions().data()),
            VASE_MASK_UNEVEN);
  EXPECT_EQ(random_.positions(), positions);
  keep_[0] ^= 1;
  EXPECT_EQ(vase_compact(&layer_, keep_.data(), 300, 0, 2, nullptr), VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_compact(&layer_, nullptr, 0, 0, 2, nullptr), VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_compact(&layer_, keep_.data(), 0, 0, 2, random_.positions().data()), VASE_OK);
}

TEST_F(CapiTest, SelectAndCompactDoNotAllocate) {
  for (const std::string& name : testing::policy_names()) {
    params_.policy = vase_policy_find(name.c_str());
    workspace_.resize(vase_workspace_size(&params_, &layer_));
    ASSERT_EQ(try_select(), VASE_OK);  // the first call may set up what lives for ever
    const int64_t before = allocations_so_far();
    const vase_status selected = try_select();
    const vase_status compacted =
        vase_compact(&layer_, keep_.data(), 0, 0, 2, random_.positions().data());
    const int64_t during = allocations_so_far() - before;
    EXPECT_EQ(during, 0) << name;
    EXPECT_EQ(selected, VASE_OK);
    EXPECT_EQ(compacted, VASE_OK);
  }
}

}  // namespace
TEST(ValueRanges, AreThoseOfEachRow) {
  const std::vector<float> values = {0, 1, 3, -2, 5, 5, -1, 7};  // 4 rows of 2
  std::vector<float> keys(8, 0.0f);
  vase_layer layer{};
  layer.keys = {keys.data(), VASE_F32, 2, 8, 8, 0};
  layer.values = {const_cast<float*>(values.data()), VASE_F32, 2, 8, 8, 0};
  layer.n_heads = 1;
  layer.n_rows = 3;
  const std::vector<int32_t> cells = {3, 0, 1};
  layer.cells = cells.data();
  const vase_params params = vase_params_default(vase_policy_full(), 2);
  std::vector<std::byte> workspace(vase_workspace_size(&params, &layer));
  std::vector<float> ranges(3);
  ASSERT_EQ(vase_value_ranges(&layer, 0, 1, ranges.data(), workspace.data(), workspace.size()),
            VASE_OK);
  EXPECT_EQ(ranges, (std::vector<float>{8, 1, 5}));
  EXPECT_EQ(vase_value_ranges(&layer, 0, 1, ranges.data(), workspace.data(), 8),
            VASE_WORKSPACE_TOO_SMALL);
  EXPECT_EQ(vase_value_ranges(&layer, 0, 1, nullptr, workspace.data(), workspace.size()),
            VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_value_ranges(nullptr, 0, 1, ranges.data(), workspace.data(), workspace.size()),
            VASE_INVALID_ARGUMENT);
}

}  // namespace vase
