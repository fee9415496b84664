// Queries captured by decoding the newest tokens again, in place of a stop in every step.
#include <gtest/gtest.h>

#include "contexts.hpp"

namespace vase::tests {
namespace {

BoundedOptions options_with(Capture capture, const std::string &policy = "vase") {
  BoundedOptions options = options_for(policy, 96);
  options.capture = capture;
  options.n_sequences = 2;
  return options;
}

// The queries are the same up to the rounding of another batch shape, so with few exceptions the
// rows are, and so is the bookkeeping.
TEST(Replay, KeepsWhatCaptureAtEachStepKeeps) {
  const Model model = tiny_model("qwen3");
  for (const char *policy : {"vase", "rkv"}) {
    SCOPED_TRACE(policy);
    BoundedContext stepwise(model.get(), options_with(Capture::kEachStep, policy));
    BoundedContext replayed(model.get(), options_with(Capture::kReplay, policy));
    const std::vector<llama_token> tokens = random_tokens(96 + 3 * 32 + 1);
    for (BoundedContext *context : {&stepwise, &replayed}) {
      for (const llama_token &token : tokens)
        context->decode(
            {{.sequence = 0, .tokens = {&token, 1}}, {.sequence = 1, .tokens = {&token, 1}}});
    }
    for (const int32_t sequence : {0, 1}) {
      const SequenceStatistics a = stepwise.statistics(sequence), b = replayed.statistics(sequence);
      EXPECT_EQ(a.tokens, b.tokens);
      EXPECT_EQ(a.rows, b.rows);
      EXPECT_EQ(a.evictions, 3);
      EXPECT_EQ(b.evictions, 3);
      EXPECT_GT(overlap(stepwise, replayed, sequence), 0.95);
    }
    EXPECT_GT(replayed.timings().capture, 0);
  }
}

// A replay must bring the sequence back to where it was: the next token's logits are those of a
// context that evicts without one.
TEST(Replay, LeavesTheLogitsAsTheyWere) {
  const Model model = tiny_model("llama");
  BoundedContext stepwise(model.get(), options_with(Capture::kEachStep));
  BoundedContext replayed(model.get(), options_with(Capture::kReplay));
  const std::vector<llama_token> tokens = random_tokens(96 + 32 + 1);
  feed_singly(stepwise, 0, tokens);
  feed_singly(replayed, 0, tokens);
  ASSERT_EQ(replayed.statistics(0).evictions, 1);
  ASSERT_EQ(kept(stepwise, 0), kept(replayed, 0));
  const std::vector<float> a = logits_of(stepwise, 0), b = logits_of(replayed, 0);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 0.02f) << "token " << i;
}

TEST(Replay, IsNotNeededForPiecesOfAPromptThatHoldTheWindow) {
  const Model model = tiny_model("llama");
  BoundedContext replayed(model.get(), options_with(Capture::kReplay));
  BoundedContext stepwise(model.get(), options_with(Capture::kEachStep));
  const std::vector<llama_token> tokens = random_tokens(900);
  replayed.decode({{.sequence = 1, .tokens = tokens}});
  stepwise.decode({{.sequence = 1, .tokens = tokens}});
  EXPECT_GT(replayed.statistics(1).evictions, 2);
  // The same batches with the same capture: not one row differs.
  EXPECT_EQ(kept(stepwise, 1), kept(replayed, 1));
}

// Pieces shorter than the window that run past the point where an eviction is due.
TEST(Replay, ServesPiecesShorterThanTheWindow) {
  const Model model = tiny_model("llama");
  BoundedContext replayed(model.get(), options_with(Capture::kReplay));
  BoundedContext stepwise(model.get(), options_with(Capture::kEachStep));
  const std::vector<llama_token> tokens = random_tokens(300);
  for (BoundedContext *context : {&replayed, &stepwise})
    for (size_t first = 0; first < tokens.size(); first += 10)
      context->decode({{.sequence = 0, .tokens = std::span(tokens).subspan(first, 10)}});
  EXPECT_EQ(replayed.statistics(0).tokens, 300);
  EXPECT_EQ(replayed.statistics(0).evictions, stepwise.statistics(0).evictions);
  EXPECT_EQ(replayed.statistics(0).rows, stepwise.statistics(0).rows);
  EXPECT_GT(overlap(stepwise, replayed, 0), 0.9);
}

TEST(Replay, GivesWayToCaptureWhereTheIntervalIsShorterThanTheWindow) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_with(Capture::kReplay);
  options.policy.interval = 8;
  BoundedContext replayed(model.get(), options);
  options.capture = Capture::kEachStep;
  BoundedContext stepwise(model.get(), options);
  const std::vector<llama_token> tokens = random_tokens(96 + 5 * 8 + 1);
  feed_singly(replayed, 0, tokens);
  feed_singly(stepwise, 0, tokens);
  EXPECT_EQ(replayed.statistics(0).evictions, 5);
  EXPECT_EQ(kept(stepwise, 0), kept(replayed, 0));
}

}  // namespace
}  // namespace vase::tests
