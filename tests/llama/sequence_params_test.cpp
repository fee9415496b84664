// A policy, budget and seed for each sequence; prompts in pieces; a look at the rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "contexts.hpp"
#include "vase/llama.hpp"

namespace vase::tests {
namespace {

using Kept = std::vector<std::vector<int32_t>>;

BoundedOptions options_for_two() {
  BoundedOptions options = options_for("vase", 256);
  options.n_sequences = 2;
  return options;
}

Kept kept_after(BoundedContext &context, int32_t sequence) {
  context.decode({{.sequence = sequence, .tokens = random_tokens(400)}});
  feed_singly(context, sequence, random_tokens(100, 5));
  return kept(context, sequence);
}

TEST(SequenceParams, AreThoseOfTheContextUntilSet) {
  const Model model = tiny_model("llama");
  BoundedContext context(model.get(), options_for_two());
  EXPECT_EQ(context.params(1).budget, 256);
}

TEST(SequenceParams, GiveWhatAContextOfTheirOwnGives) {
  const Model model = tiny_model("llama");
  for (const char *policy : {"vase", "vase-plus", "snapkv", "rkv", "h2o", "keydiff", "vase-cur",
                             "random", "streaming"}) {
    // The same cells, so that prompts fill them alike.
    BoundedOptions own = options_for(policy, 224);
    BoundedContext expected(model.get(), own);
    BoundedContext context(model.get(), options_for_two());
    ASSERT_EQ(expected.cells_per_sequence(), 256);
    ASSERT_EQ(context.cells_per_sequence(), 512);
    context.set_params(1, own.policy, 0);
    context.set_draw_stream(1, 0);
    feed_singly(expected, 0, random_tokens(500));
    feed_singly(context, 1, random_tokens(500));
    EXPECT_EQ(kept(context, 1), kept(expected, 0)) << policy;
    EXPECT_EQ(context.statistics(1).evictions, expected.statistics(0).evictions) << policy;
  }
}

TEST(SequenceParams, LeaveOtherSequencesAlone) {
  const Model model = tiny_model("llama");
  BoundedContext alone(model.get(), options_for_two());
  BoundedContext context(model.get(), options_for_two());
  vase_params other = context.params(1);
  other.budget = 96;
  other.protect = 24;
  context.set_params(1, other, 0.25f);
  kept_after(context, 1);
  EXPECT_EQ(kept_after(context, 0), kept_after(alone, 0));
  EXPECT_LE(context.statistics(1).rows, 96 + 32);
}

TEST(SequenceParams, SeedTheDraws) {
  const Model model = tiny_model("llama");
  BoundedContext context(model.get(), options_for_two());
  const auto run = [&](uint64_t seed) {
    context.clear(0);
    vase_params params = context.params(0);
    params.seed = seed;
    context.set_params(0, params, 0);
    return kept_after(context, 0);
  };
  const Kept first = run(1);
  EXPECT_NE(run(2), first);
  EXPECT_EQ(run(1), first);
}

TEST(SequenceParams, AreRefusedIfTheyDoNotFit) {
  const Model model = tiny_model("llama");
  BoundedContext context(model.get(), options_for_two());
  const auto refused = [&](auto change, float pin = 0) {
    vase_params params = context.params(0);
    change(params);
    EXPECT_THROW(context.set_params(0, params, pin), Error);
  };
  refused([](vase_params &p) { p.budget = 257; });
  refused([](vase_params &p) { p.interval = 1000; });
  refused([](vase_params &p) { p.recency = 300; });
  refused([](vase_params &p) { p.window = 8; });
  refused([](vase_params &p) { p.policy = vase_policy_find("full"); });
  refused([](vase_params &p) { p.policy = nullptr; });
  refused([](vase_params &) {}, 1.5f);
  context.decode({{.sequence = 0, .tokens = random_tokens(3)}});
  refused([](vase_params &p) { p.budget = 200; });
  refused([](vase_params &p) { p.interval = 16; });
  refused([](vase_params &p) { p.policy = vase_policy_find("random"); });

  BoundedContext without_queries(model.get(), options_for("vase-cur", 256));
  EXPECT_THROW(without_queries.set_params(0, context.params(0), 0), Error);
}

TEST(SequenceParams, MayChangeInTheMiddleOfAText) {
  const Model model = tiny_model("llama");
  const auto kept_with = [&](float temperature) {
    BoundedContext context(model.get(), options_for_two());
    feed_singly(context, 0, random_tokens(300));
    vase_params params = context.params(0);
    params.temperature = temperature;
    context.set_params(0, params, 0);
    feed_singly(context, 0, random_tokens(100, 5));
    return kept(context, 0);
  };
  EXPECT_EQ(kept_with(1), kept_with(1));
  EXPECT_NE(kept_with(8), kept_with(1));
}

TEST(Fill, MakesAPromptsOutcomeIndependentOfItsPieces) {
  const Model model = tiny_model("llama");
  const std::vector<llama_token> prompt = random_tokens(1200);
  const auto read_in_pieces = [&](size_t piece) {
    BoundedContext context(model.get(), options_for("vase", 256));
    for (size_t done = 0; done < prompt.size();) {
      const auto room = static_cast<size_t>(context.prompt_room(0));
      EXPECT_GT(room, 0U);
      const size_t n = std::min({piece, room, prompt.size() - done});
      context.decode({{.tokens = std::span(prompt).subspan(done, n), .fill = true}});
      done += n;
    }
    EXPECT_GT(context.statistics(0).evictions, 2);
    return context.statistics(0).evictions;
  };
  const int64_t evictions = read_in_pieces(prompt.size());
  for (const size_t piece : {7U, 64U, 100U, 200U}) EXPECT_EQ(read_in_pieces(piece), evictions);
}

TEST(Inspect, ShowsPositionsAndValueRanges) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("vase", 128);
  options.pin_prompt = 0.25f;
  BoundedContext context(model.get(), options);
  context.decode({{.tokens = random_tokens(50)}});
  feed_singly(context, 0, random_tokens(200, 5));
  ASSERT_EQ(context.heads(1), kHeads);

  const HeadRows rows = context.inspect(0, 1, 1);
  EXPECT_EQ(rows.positions, context.positions(0, 1, 1));
  ASSERT_EQ(rows.value_ranges.size(), rows.positions.size());
  for (const float range : rows.value_ranges) EXPECT_GT(range, 0);
  EXPECT_EQ(rows.pinned.begin, 50 - 32);
  EXPECT_EQ(rows.pinned.end, 50);
  EXPECT_EQ(rows.pinned.first_end, 0);
  EXPECT_NE(context.inspect(0, 0, 1).value_ranges, rows.value_ranges);
}

// VaSE protects the largest ranges: what an eviction keeps beyond the recency window must hold
// them.
TEST(Inspect, TellsTheRangesThatThePolicySees) {
  const Model model = tiny_model("llama");
  BoundedContext context(model.get(), options_for("vase", 128));
  feed_singly(context, 0, random_tokens(160));
  const HeadRows before = context.inspect(0, 0, 0);
  std::vector<std::pair<float, int32_t>> candidates;
  for (size_t i = 0; i < before.positions.size(); ++i)
    if (before.positions[i] >= 4 && before.positions[i] < 160 - 32)
      candidates.emplace_back(before.value_ranges[i], before.positions[i]);
  std::ranges::sort(candidates, std::greater<>());
  feed_singly(context, 0, random_tokens(1, 6));
  ASSERT_EQ(context.statistics(0).evictions, 1);
  const std::vector<int32_t> after = context.positions(0, 0, 0);
  for (size_t i = 0; i < 128 / 4 - 4; ++i)
    EXPECT_THAT(after, testing::Contains(candidates[i].second)) << i;
}

TEST(Inspect, OfAnEmptySequenceIsEmpty) {
  const Model model = tiny_model("llama");
  const BoundedContext context(model.get(), options_for("vase", 128));
  EXPECT_TRUE(context.inspect(0, 0, 0).positions.empty());
  EXPECT_THROW(context.inspect(0, 9, 0), Error);
  EXPECT_THROW(context.heads(-1), Error);
}

}  // namespace
}  // namespace vase::tests
