#include "eval/fidelity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "../engine/loaded_text_model.hpp"
#include "../llama/tiny_models.hpp"
#include "engine/log.hpp"
#include "engine/model.hpp"
#include "eval/divergence.hpp"

namespace vase::eval {
namespace {

TEST(Divergence, OfSmallDistributionsByHand) {
  const std::vector<float> p = {std::log(0.5f), std::log(0.25f), std::log(0.25f)};
  const std::vector<float> q = {std::log(0.25f) + 7, std::log(0.5f) + 7, std::log(0.25f) + 7};
  const Logits a(p), b(q);
  EXPECT_NEAR(a.divergence_to(b), 0.25 * std::log(2.0), 1e-6);
  EXPECT_NEAR(b.divergence_to(a), 0.25 * std::log(2.0), 1e-6);
  EXPECT_EQ(a.divergence_to(a), 0);
  EXPECT_NEAR(b.nll(1), std::log(2.0), 1e-6);
  EXPECT_EQ(a.likeliest(), 0);
  EXPECT_EQ(b.likeliest(), 1);
}

TEST(Divergence, LargeLogitsDoNotOverflow) {
  const std::vector<float> p = {1e4f, 1e4f - 1}, q = {-1e4f, -1e4f - 1};
  EXPECT_NEAR(Logits(p).divergence_to(Logits(q)), 0, 1e-3);
  EXPECT_NEAR(Logits(p).nll(0), std::log(1 + std::exp(-1.0)), 1e-3);
}

class FidelityTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = engine::test::loaded_text_model(); }
  static void TearDownTestSuite() { model_.reset(); }

  static FidelityEntry entry(const char *policy, std::int32_t budget) {
    vase_params params = vase_params_default(vase_policy_find(policy), budget);
    params.recency = params.interval = params.window = 32;
    params.seed = 1;
    return {.policy = policy, .budget = std::to_string(budget), .lane = {params}};
  }

  static FidelityPlan plan(std::vector<FidelityEntry> entries, std::int32_t chunk = 16) {
    std::string text;
    for (int i = 0; text.size() < 500; ++i)
      text += "Line " + std::to_string(i * i) + " of a text. ";
    FidelityPlan plan;
    plan.tokens = model_->tokenize(text);
    plan.tokens.resize(400);
    plan.entries = std::move(entries);
    plan.n_vocab = static_cast<std::size_t>(llama_vocab_n_tokens(model_->vocab()));
    plan.bucket = 100;
    plan.host.context = llama_context_default_params();
    plan.host.context.n_threads = plan.host.context.n_threads_batch = 1;
    plan.host.make_context = [](const BoundedOptions &o) { return model_->make_context(o); };
    plan.host.chunk = chunk;
    plan.host.n_ctx = 400;
    plan.progress = [](std::int64_t, std::int64_t) { return true; };
    return plan;
  }

  static inline std::unique_ptr<engine::Model> model_;
};

TEST_F(FidelityTest, NothingIsLostBeforeTheFirstEviction) {
  const auto buckets = measure_fidelity(plan({entry("vase", 128), entry("random", 200)}));
  ASSERT_EQ(buckets.size(), 8U);  // 399 positions in buckets of 100, for each of two
  EXPECT_EQ(buckets[3].to, 399);
  for (const FidelityBucket &bucket : buckets) {
    // The first eviction comes at budget + interval = 160 and 232 rows.
    const bool before = bucket.to <= bucket.rows + 32;
    EXPECT_EQ(bucket.kl < 1e-5, before) << bucket.policy << " from " << bucket.from;
    EXPECT_GT(bucket.nll, 0);
  }
}

// The claim of the header: steps of any length evict where single tokens would.
TEST_F(FidelityTest, StepsDoNotMatter) {
  const auto entries = {entry("vase", 96), entry("streaming", 70), entry("rkv", 128)};
  const auto singly = measure_fidelity(plan(entries, 1));
  const auto steps = measure_fidelity(plan(entries, 13));
  ASSERT_EQ(singly.size(), steps.size());
  for (std::size_t i = 0; i < singly.size(); ++i) {
    EXPECT_NEAR(singly[i].kl, steps[i].kl, 1e-3 * singly[i].kl + 1e-6) << singly[i].policy;
    EXPECT_NEAR(singly[i].nll, steps[i].nll, 1e-4);
  }
}

// The entry of a full cache, read in part.
FidelityEntry selecting(Selection selection, std::int32_t budget, FidelityEntry entry) {
  entry.policy = name_of(selection);
  entry.lane.params = vase_params_default(vase_policy_full(), budget);
  entry.lane.selection = selection;
  return entry;
}

// Like an eviction, a selection is what single tokens would give, from the first token on.
TEST_F(FidelityTest, SelectionsReadWhatSingleTokensWould) {
  const std::vector<FidelityEntry> entries = {
      selecting(Selection::kOracle, 400, entry("full", 400)),
      selecting(Selection::kOracle, 24, entry("full", 24)),
      selecting(Selection::kOracle, 6, entry("full", 6)), entry("streaming", 96)};
  const auto singly = overall(measure_fidelity(plan(entries, 1)));
  const auto steps = overall(measure_fidelity(plan(entries, 13)));
  ASSERT_EQ(singly.size(), 4U);
  ASSERT_EQ(steps.size(), 4U);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(singly[i].kl, steps[i].kl, 0.02 * singly[i].kl + 1e-6) << singly[i].budget;
  }
  EXPECT_EQ(steps[0].kl, 0) << "all rows";
  EXPECT_GT(steps[1].kl, 0);
  EXPECT_GT(steps[2].kl, steps[1].kl);
  EXPECT_EQ(steps[2].peak_kv_bytes, steps[0].peak_kv_bytes) << "the cache is full";
}

TEST_F(FidelityTest, SelectionsReadThePromptInFull) {
  const auto measure = [](std::int64_t n_prompt) {
    FidelityPlan prompted = plan({selecting(Selection::kOracle, 8, entry("full", 400))});
    prompted.n_prompt = n_prompt;
    return overall(measure_fidelity(prompted));
  };
  EXPECT_GT(measure(0)[0].kl, 0);
  EXPECT_GT(measure(350)[0].kl, 0);
  EXPECT_EQ(measure(399)[0].kl, 0) << "the prompt's last token alone is measured";
}

// A prompt is pinned whole however it was cut into steps, and only what follows it is measured.
TEST_F(FidelityTest, PromptIsPinnedAndNotMeasured) {
  const auto measure = [](std::int64_t n_prompt, float pin, std::int32_t chunk) {
    FidelityEntry random = entry("random", 96);
    random.lane.pin_prompt = pin;
    FidelityPlan pinned = plan({random}, chunk);
    pinned.n_prompt = n_prompt;
    return measure_fidelity(pinned);
  };
  const auto steps = measure(41, 0.5f, 16), singly = measure(41, 0.5f, 1);
  ASSERT_EQ(steps.size(), 4U);
  EXPECT_EQ(steps.front().from, 40) << "the prompt's last token predicts the first that counts";
  EXPECT_EQ(steps.back().to, 399);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_NEAR(steps[i].kl, singly[i].kl, 1e-3 * singly[i].kl + 1e-6);
  }
  EXPECT_NE(overall(steps)[0].kl, overall(measure(41, 0, 16))[0].kl) << "pinned or not";
  EXPECT_EQ(overall(measure(0, 0.5f, 16))[0].kl, overall(measure(0, 0, 16))[0].kl)
      << "a text without a prompt: nothing to pin";
}

TEST_F(FidelityTest, CompanyDoesNotMatter) {
  const auto together = measure_fidelity(plan({entry("vase", 96), entry("random", 180)}));
  const auto alone = measure_fidelity(plan({entry("vase", 96)}));
  for (std::size_t i = 0; i < alone.size(); ++i) {
    EXPECT_NEAR(alone[i].kl, together[i].kl, 1e-3 * alone[i].kl + 1e-6);
  }
}

// The full f16 cache is what all are compared with, so a quantised full cache is a row of its own.
TEST_F(FidelityTest, QuantisedCachesAreComparedWithTheF16One) {
  const auto measure = [](ggml_type type) {
    FidelityEntry full = entry("full", 400);
    FidelityPlan quantised = plan({full, entry("streaming", 96)});
    quantised.host.context.type_k = quantised.host.context.type_v = type;
    return overall(measure_fidelity(quantised));
  };
  const auto f16 = measure(GGML_TYPE_F16), q8 = measure(GGML_TYPE_Q8_0),
             q4 = measure(GGML_TYPE_Q4_0);
  ASSERT_EQ(f16.size(), 2U);
  EXPECT_EQ(f16[0].kl, 0) << "the same cache";
  EXPECT_GT(q8[0].kl, 0);
  EXPECT_GT(q4[0].kl, 3 * q8[0].kl);
  EXPECT_GT(q4[1].kl, q4[0].kl);
  for (const auto *type : {&f16, &q8, &q4}) EXPECT_NEAR((*type)[0].nll_full, f16[0].nll_full, 1e-9);

  // 399 rows and 96 + 32 of them; 2 bytes an element, or blocks of 34 or 18 bytes for 32.
  const auto share = [](const FidelityBucket &a, const FidelityBucket &b) {
    return static_cast<double>(a.peak_kv_bytes) / static_cast<double>(b.peak_kv_bytes);
  };
  EXPECT_NEAR(share(f16[1], f16[0]), 128.0 / 399, 1e-3);
  EXPECT_NEAR(share(q8[0], f16[0]), 34.0 / 64, 0.02) << "llama.cpp says hundredths of a MiB";
  EXPECT_NEAR(share(q4[1], f16[1]), 18.0 / 64, 1e-3);
}

TEST_F(FidelityTest, OverallIsTheMeanOverPositions) {
  const auto buckets = measure_fidelity(plan({entry("random", 96)}));
  double sum = 0;
  for (const FidelityBucket &b : buckets) sum += b.kl * static_cast<double>(b.to - b.from);
  const auto totals = overall(buckets);
  ASSERT_EQ(totals.size(), 1U);
  EXPECT_NEAR(totals[0].kl, sum / 399, 1e-9);
  EXPECT_EQ(totals[0].from, 0);
  EXPECT_EQ(totals[0].to, 399);
}

TEST_F(FidelityTest, WhatWasReadBeforeAnInterruptionCounts) {
  FidelityPlan stopped = plan({entry("vase", 96)});
  stopped.progress = [](std::int64_t done, std::int64_t) { return done < 150; };
  const auto buckets = measure_fidelity(stopped);
  ASSERT_EQ(buckets.size(), 2U);
  EXPECT_GE(buckets[1].to, 150);
  EXPECT_LT(buckets[1].to, 170);
}

}  // namespace
}  // namespace vase::eval
