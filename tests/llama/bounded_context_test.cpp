#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>

#include "contexts.hpp"
#include "vase/llama.hpp"

namespace vase::tests {
namespace {

std::string name_of(const testing::TestParamInfo<std::string> &info) {
  std::string name = info.param;
  std::ranges::replace_if(
      name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

// But those that need a file (calibration_test.cpp).
std::vector<std::string> evicting_policies() {
  std::vector<std::string> names;
  for (int32_t i = 0; i < vase_policy_count(); ++i) {
    const vase_policy *policy = vase_policy_at(i);
    if (vase_policy_evicts(policy) != 0 && vase_policy_needs_calibration(policy) == 0)
      names.emplace_back(vase_policy_name(policy));
  }
  return names;
}

// ---- every architecture -------------------------------------------------------------------------

class Architecture : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, Architecture, testing::Values("llama", "qwen2", "qwen3", "gemma3"),
                         name_of);

TEST_P(Architecture, BudgetAboveTheTextGivesWhatPlainLlamaGives) {
  const Model model = tiny_model(GetParam());
  BoundedContext bounded(model.get(), options_for("vase", 448));
  BoundedContext plain(model.get(), options_for("full", 448));
  const std::vector<llama_token> prompt = random_tokens(100);
  bounded.decode({{.sequence = 0, .tokens = prompt}});
  plain.decode({{.sequence = 0, .tokens = prompt}});
  EXPECT_EQ(logits_of(bounded, 0), logits_of(plain, 0));
  EXPECT_EQ(generate(bounded, 0, 200), generate(plain, 0, 200));
  EXPECT_EQ(logits_of(bounded, 0), logits_of(plain, 0));
  EXPECT_EQ(bounded.statistics(0).evictions, 0);
}

TEST_P(Architecture, StaysBoundedOverThousandsOfTokens) {
  const Model model = tiny_model(GetParam());
  BoundedContext context(model.get(), options_for("vase", 128));
  context.decode({{.sequence = 0, .tokens = random_tokens(1500)}});
  for (const llama_token &token : random_tokens(1000, 4)) {
    context.decode({{.sequence = 0, .tokens = {&token, 1}}});
    ASSERT_LE(context.statistics(0).rows, 128 + 32);
  }
  EXPECT_EQ(context.statistics(0).tokens, 2500);
  EXPECT_GT(context.statistics(0).evictions, 1000 / 32);
  EXPECT_TRUE(std::isfinite(logits_of(context, 0)[0]));
}

TEST_P(Architecture, BoundsTheLayersWithFullAttentionAlone) {
  const Model model = tiny_model(GetParam());
  const BoundedContext context(model.get(), options_for("vase", 128));
  EXPECT_EQ(context.bounded_layers(), GetParam() == "gemma3" ? 1 : 2);
  EXPECT_GE(context.cells_per_sequence(), 128 + 32);
}

// ---- every policy -------------------------------------------------------------------------------

class Policy : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, Policy, testing::ValuesIn(evicting_policies()), name_of);

TEST_P(Policy, KeepsDistinctTokensWithSinksAndTheNewest) {
  const Model model = tiny_model("llama");
  const BoundedOptions options = options_for(GetParam(), 96);
  BoundedContext context(model.get(), options);
  const std::vector<llama_token> tokens = random_tokens(700);
  context.decode({{.sequence = 0, .tokens = std::span(tokens).first(400)}});
  feed_singly(context, 0, std::span(tokens).subspan(400));

  ASSERT_GT(context.statistics(0).evictions, 5);
  for (const std::vector<int32_t> &positions : kept(context, 0)) {
    ASSERT_EQ(positions.size(), static_cast<size_t>(context.statistics(0).rows));
    EXPECT_EQ(std::set<int32_t>(positions.begin(), positions.end()).size(), positions.size());
    for (int32_t sink = 0; sink < options.policy.sinks; ++sink)
      EXPECT_EQ(positions[static_cast<size_t>(sink)], sink);
    std::vector<int32_t> newest(static_cast<size_t>(options.policy.recency));
    std::iota(newest.begin(), newest.end(), 700 - options.policy.recency);
    EXPECT_THAT(std::vector<int32_t>(positions.end() - options.policy.recency, positions.end()),
                testing::ElementsAreArray(newest));
  }
}

TEST_P(Policy, WorksOnEveryRowType) {
  const Model model = tiny_model("qwen3");
  for (const ggml_type type :
       {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    SCOPED_TRACE(ggml_type_name(type));
    BoundedOptions options = options_for(GetParam(), 96);
    options.context.type_k = options.context.type_v = type;
    BoundedContext context(model.get(), options);
    context.decode({{.sequence = 0, .tokens = random_tokens(600)}});
    feed_singly(context, 0, random_tokens(100, 5));
    EXPECT_LE(context.statistics(0).rows, 96 + 32);
    EXPECT_GT(context.statistics(0).evictions, 3);
    EXPECT_TRUE(std::isfinite(logits_of(context, 0)[0]));
  }
}

// ---- sequences ----------------------------------------------------------------------------------

// Texts of three lengths and then a hundred common tokens, together in one context and each alone.
struct TogetherAndAlone {
  std::vector<std::vector<int32_t>> together, alone;  // kept positions of every sequence and head
  std::vector<float> together_logits, alone_logits;
};

TogetherAndAlone run_together_and_alone(const std::string &policy) {
  const Model model = tiny_model("qwen3");
  BoundedOptions options = options_for(policy, 96);
  std::vector<std::vector<llama_token>> texts;
  for (uint32_t i = 0; i < 3; ++i) texts.push_back(random_tokens(300 + 150 * i, 20 + i));
  const std::vector<llama_token> common = random_tokens(100, 6);
  TogetherAndAlone result;
  const auto collect = [](const BoundedContext &context, int32_t sequence, auto &positions,
                          auto &logits) {
    for (auto &list : kept(context, sequence)) positions.push_back(std::move(list));
    for (const float logit : logits_of(context, sequence)) logits.push_back(logit);
  };

  options.n_sequences = 3;
  BoundedContext together(model.get(), options);
  for (int32_t i = 0; i < 3; ++i) together.set_draw_stream(i, 40 + static_cast<uint32_t>(i));
  together.decode({{.sequence = 2, .tokens = texts[2]},
                   {.sequence = 0, .tokens = texts[0]},
                   {.sequence = 1, .tokens = texts[1]}});
  for (const llama_token &token : common)
    together.decode({{.sequence = 0, .tokens = {&token, 1}},
                     {.sequence = 1, .tokens = {&token, 1}},
                     {.sequence = 2, .tokens = {&token, 1}}});
  for (int32_t i = 0; i < 3; ++i) collect(together, i, result.together, result.together_logits);

  options.n_sequences = 1;
  for (int32_t i = 0; i < 3; ++i) {
    BoundedContext alone(model.get(), options);
    alone.set_draw_stream(0, 40 + static_cast<uint32_t>(i));
    alone.decode({{.sequence = 0, .tokens = texts[static_cast<size_t>(i)]}});
    feed_singly(alone, 0, common);
    EXPECT_EQ(alone.statistics(0).evictions, together.statistics(i).evictions);
    collect(alone, 0, result.alone, result.alone_logits);
  }
  return result;
}

TEST(Sequences, BatchedKeepWhatTheyKeepAlone) {
  // Draws that ignore the rows must agree to the last row.
  const TogetherAndAlone result = run_together_and_alone("random");
  EXPECT_EQ(result.together, result.alone);
  for (size_t i = 0; i < result.alone_logits.size(); ++i)
    EXPECT_NEAR(result.together_logits[i], result.alone_logits[i], 0.02f);
}

TEST(Sequences, BatchedAreScoredAsAlone) {
  // llama.cpp rounds differently in batches of other sizes, and each near-tie that this decides
  // otherwise changes what follows: most rows must agree. Queries of the wrong token or sequence
  // would leave what chance does, about a half.
  const TogetherAndAlone result = run_together_and_alone("vase");
  ASSERT_EQ(result.together.size(), result.alone.size());
  size_t rows = 0, common = 0;
  for (size_t i = 0; i < result.alone.size(); ++i) {
    std::vector<int32_t> both;
    std::ranges::set_intersection(result.together[i], result.alone[i], std::back_inserter(both));
    rows += result.alone[i].size();
    common += both.size();
  }
  EXPECT_GT(static_cast<double>(common), 0.9 * static_cast<double>(rows));
}

TEST(Sequences, DrawDifferentlyInDifferentStreams) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("random", 96);
  options.n_sequences = 2;
  BoundedContext context(model.get(), options);
  const std::vector<llama_token> text = random_tokens(600);
  context.decode({{.sequence = 0, .tokens = text}, {.sequence = 1, .tokens = text}});
  EXPECT_NE(kept(context, 0), kept(context, 1));
}

TEST(Sequences, ClearedOnesRepeatToTheLastBit) {
  const Model model = tiny_model("llama");
  BoundedContext context(model.get(), options_for("vase", 96));
  const std::vector<llama_token> text = random_tokens(700);
  std::vector<std::vector<int32_t>> first_kept;
  std::vector<float> first_logits;
  for (int round = 0; round < 2; ++round) {
    context.decode({{.sequence = 0, .tokens = std::span(text).first(500)}});
    feed_singly(context, 0, std::span(text).subspan(500));
    if (round == 0) {
      first_kept = kept(context, 0);
      first_logits = logits_of(context, 0);
    }
    EXPECT_EQ(kept(context, 0), first_kept);
    EXPECT_EQ(logits_of(context, 0), first_logits);
    context.clear(0);
    EXPECT_EQ(context.statistics(0).tokens, 0);
    EXPECT_THROW(context.logits_index(0), Error);
  }
}

TEST(Sequences, ClearingOneLeavesTheOthers) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("vase", 96);
  options.n_sequences = 2;
  BoundedContext context(model.get(), options);
  const std::vector<llama_token> text = random_tokens(500);
  context.decode({{.sequence = 0, .tokens = text}, {.sequence = 1, .tokens = text}});
  const auto before = kept(context, 1);
  context.clear(0);
  EXPECT_EQ(kept(context, 1), before);
  context.decode({{.sequence = 0, .tokens = text}});
  EXPECT_EQ(kept(context, 1), before);
  feed_singly(context, 1, random_tokens(100));
  EXPECT_EQ(context.statistics(1).tokens, 600);
}

// ---- long inputs --------------------------------------------------------------------------------

TEST(LongInput, ReportsProgressAndCanBeStopped) {
  const Model model = tiny_model("llama");
  BoundedContext context(model.get(), options_for("vase", 96));
  const std::vector<llama_token> text = random_tokens(2000);
  std::vector<int64_t> done;
  const bool finished =
      context.decode({{.sequence = 0, .tokens = text}}, [&](int64_t now, int64_t total) {
        EXPECT_EQ(total, 2000);
        done.push_back(now);
        return done.size() < 3;
      });
  EXPECT_FALSE(finished);
  ASSERT_EQ(done.size(), 3u);
  EXPECT_EQ(context.statistics(0).tokens, done.back());
  EXPECT_THROW(context.logits_index(0), Error);
  EXPECT_TRUE(context.decode(
      {{.sequence = 0, .tokens = std::span(text).subspan(static_cast<size_t>(done.back()))}}));
  EXPECT_EQ(context.statistics(0).tokens, 2000);
}

TEST(LongInput, EndsAllSequencesInOneBatch) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("vase", 96);
  options.n_sequences = 3;
  options.context.n_batch = 64;
  BoundedContext context(model.get(), options);
  const std::vector<llama_token> text = random_tokens(900);
  context.decode({{.sequence = 0, .tokens = std::span(text).first(1)},
                  {.sequence = 1, .tokens = text},
                  {.sequence = 2, .tokens = std::span(text).first(150)}});
  for (int32_t i = 0; i < 3; ++i) EXPECT_NE(context.logits(i), nullptr);
  EXPECT_EQ(context.statistics(1).tokens, 900);
}

TEST(LongInput, GivesLogitsOfEveryToken) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("vase", 96);
  BoundedContext context(model.get(), options), singly(model.get(), options);
  const std::vector<llama_token> text = random_tokens(200);
  std::span<const llama_token> rest = text;
  context.decode({{.sequence = 0, .tokens = rest.first(20)}});
  feed_singly(singly, 0, rest.first(20));
  rest = rest.subspan(20);
  const auto piece = rest.first(std::min(rest.size(), static_cast<size_t>(context.room(0))));
  context.decode({{.sequence = 0, .tokens = piece, .all_logits = true}});
  for (size_t i = 0; i < piece.size(); ++i) {
    const float *got =
        llama_get_logits_ith(context.get(), context.logits_index(0, static_cast<int32_t>(i)));
    if (singly.statistics(0).rows >= 96 + 32) break;  // evicts one by one, not in one piece
    feed_singly(singly, 0, piece.subspan(i, 1));
    for (int32_t t = 0; t < kVocabulary; ++t) ASSERT_NEAR(got[t], singly.logits(0)[t], 2e-2f);
  }
  EXPECT_THROW(context.decode({{.sequence = 0, .tokens = random_tokens(1000), .all_logits = true}}),
               Error);
}

// ---- the prompt ---------------------------------------------------------------------------------

TEST(Prompt, StaysWhereItIsPinned) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("vase", 128);
  options.pin_prompt = 0.5f;
  BoundedContext context(model.get(), options);
  context.decode({{.sequence = 0, .tokens = random_tokens(50)}});
  feed_singly(context, 0, random_tokens(500, 8));
  for (const std::vector<int32_t> &positions : kept(context, 0))
    for (int32_t i = 0; i < 50; ++i) EXPECT_EQ(positions[static_cast<size_t>(i)], i);
}

TEST(Prompt, IsPinnedIfThePolicyWantsItUnlessItIsToldNotTo) {
  const Model model = tiny_model("llama");
  const auto pinned_end = [&](const char *policy, std::optional<float> share) {
    BoundedOptions options = options_for(policy, 128);
    options.pin_prompt = share;
    BoundedContext context(model.get(), options);
    context.decode({{.sequence = 0, .tokens = random_tokens(50)}});
    return context.inspect(0, 0, 0).pinned.end;
  };
  EXPECT_EQ(pinned_end("vase-plus", std::nullopt), 50);
  EXPECT_EQ(pinned_end("vase-plus", 0.0f), 0);
  EXPECT_EQ(pinned_end("vase", std::nullopt), 0);
}

TEST(Prompt, OfALongOneTheNewestShareStays) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("vase", 128);
  options.pin_prompt = 0.25f;
  BoundedContext context(model.get(), options);
  context.decode({{.sequence = 0, .tokens = random_tokens(600)}});
  feed_singly(context, 0, random_tokens(300, 8));
  for (const std::vector<int32_t> &positions : kept(context, 0))
    for (int32_t i = 600 - 32; i < 600; ++i) EXPECT_THAT(positions, testing::Contains(i));
}

// A chat: what was asked first, an answer, what was asked last, and an answer to that. The share is
// 64 rows.
std::vector<std::vector<int32_t>> kept_of_chat(size_t first, size_t newest) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("random", 128);
  options.pin_prompt = 0.5f;
  BoundedContext context(model.get(), options);
  context.decode({{.sequence = 0, .tokens = random_tokens(first)}});
  feed_singly(context, 0, random_tokens(300, 8));
  context.begin_turn(0);
  context.decode({{.sequence = 0, .tokens = random_tokens(newest, 9)}});
  context.set_prompt_end(0);
  feed_singly(context, 0, random_tokens(300, 10));
  return kept(context, 0);
}

std::vector<int32_t> range(int32_t begin, int32_t end) {
  std::vector<int32_t> all(static_cast<size_t>(end - begin));
  std::iota(all.begin(), all.end(), begin);
  return all;
}

TEST(Prompt, OfAChatTheNewestStaysAndTheFirstIfThereIsRoom) {
  for (const std::vector<int32_t> &positions : kept_of_chat(24, 40)) {
    EXPECT_THAT(positions, testing::IsSupersetOf(range(0, 24)));
    EXPECT_THAT(positions, testing::IsSupersetOf(range(324, 364)));
  }
}

TEST(Prompt, OfAChatTheFirstStaysAsAWholeOrNotAtAll) {
  int32_t of_first = 0;
  for (const std::vector<int32_t> &positions : kept_of_chat(25, 40)) {
    EXPECT_THAT(positions, testing::IsSupersetOf(range(325, 365)));
    of_first += static_cast<int32_t>(
        std::ranges::count_if(positions, [](int32_t position) { return position < 25; }));
  }
  EXPECT_LT(of_first, 12 * static_cast<int32_t>(kept_of_chat(25, 40).size()))
      << "sinks, and what a uniform draw leaves";
}

TEST(Prompt, MayBeSaidBeforeItIsRead) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("random", 128);
  options.pin_prompt = 0.5f;
  BoundedContext turns(model.get(), options), told(model.get(), options);
  const std::vector<llama_token> first = random_tokens(30), answer = random_tokens(20, 8),
                                 newest = random_tokens(30, 9);
  turns.decode({{.sequence = 0, .tokens = first}});
  turns.decode({{.sequence = 0, .tokens = answer}});
  turns.begin_turn(0);
  turns.decode({{.sequence = 0, .tokens = newest}});
  turns.set_prompt_end(0);
  told.set_prompts(0, {.first_end = 30, .newest_begin = 50, .newest_end = 80});
  for (const auto &part : {first, answer, newest}) told.decode({{.sequence = 0, .tokens = part}});
  for (BoundedContext *context : {&turns, &told}) feed_singly(*context, 0, random_tokens(300, 10));
  EXPECT_EQ(kept(told, 0), kept(turns, 0));
  EXPECT_THROW(told.set_prompts(0, {.first_end = 30, .newest_begin = 20, .newest_end = 80}), Error);
}

TEST(Prompt, IsPinnedTheSameHoweverItIsCut) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("random", 128);
  options.pin_prompt = 0.5f;
  BoundedContext whole(model.get(), options), pieces(model.get(), options);
  const std::vector<llama_token> prompt = random_tokens(600);
  whole.decode({{.sequence = 0, .tokens = prompt}});
  for (std::span<const llama_token> left = prompt; !left.empty();) {
    const auto most = static_cast<size_t>(std::min(50, pieces.prompt_room(0)));
    const auto now = left.first(std::min(left.size(), most));
    pieces.decode({{.sequence = 0, .tokens = now, .fill = true}});
    pieces.set_prompt_end(0);
    left = left.subspan(now.size());
  }
  EXPECT_EQ(kept(pieces, 0), kept(whole, 0));
}

// llama.cpp chooses frequencies by the cells there are, and a bounded text is meant to be long.
TEST(BoundedContext, HasTheCellsThatLongTextsAreRotatedFor) {
  const Model model = tiny_model("llama-longrope");
  const BoundedContext small(model.get(), options_for("vase", 128));
  EXPECT_GT(small.cells_per_sequence(), kShortTexts);
  EXPECT_EQ(BoundedContext(model.get(), options_for("vase", 900)).cells_per_sequence(), 1024);
  EXPECT_EQ(
      BoundedContext(tiny_model("llama").get(), options_for("vase", 128)).cells_per_sequence(),
      256);
}

}  // namespace
}  // namespace vase::tests
