// Queries held in memory of their own, in place of a stop at each layer of every step.
#include <gtest/gtest.h>

#include "contexts.hpp"

namespace vase::tests {
namespace {

int32_t graphs_reused(const BoundedContext &context) {
  return llama_perf_context(context.get()).n_reused;
}

BoundedOptions options_with(const std::string &policy, ggml_type type) {
  BoundedOptions options = options_for(policy, 256);
  options.n_sequences = 2;
  options.context.type_k = options.context.type_v = type;
  return options;
}

class GraphTapsTest : public testing::TestWithParam<const char *> {};

// The second sequence begins later, so steps of one and of two sequences follow each other, and
// they evict at different steps.
void feed_two(BoundedContext &context, std::span<const llama_token> tokens, size_t behind) {
  for (size_t i = 0; i < tokens.size() + behind; ++i) {
    std::vector<SequenceInput> inputs;
    if (i < tokens.size()) inputs.push_back({.sequence = 0, .tokens = tokens.subspan(i, 1)});
    if (i >= behind) inputs.push_back({.sequence = 1, .tokens = tokens.subspan(i - behind, 1)});
    context.decode(inputs);
  }
}

TEST_P(GraphTapsTest, KeepWhatStopsKeep) {
  const Model model = tiny_model(GetParam());
  for (const char *policy : {"vase", "rkv"}) {
    for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0}) {
      SCOPED_TRACE(std::string(policy) + " " + ggml_type_name(type));
      const BoundedOptions options = options_with(policy, type);
      BoundedContext tapped(model.get(), options);
      BoundedContext stopping = stopping_context(model.get(), options);
      const std::vector<llama_token> tokens = random_tokens(256 + 3 * 32 + 1);
      for (BoundedContext *context : {&tapped, &stopping}) feed_two(*context, tokens, 10);
      EXPECT_GT(graphs_reused(tapped), 300);
      EXPECT_EQ(graphs_reused(stopping), 0);
      for (const int32_t sequence : {0, 1}) {
        EXPECT_EQ(tapped.statistics(sequence).evictions, 3);
        EXPECT_EQ(kept(tapped, sequence), kept(stopping, sequence));
      }
      EXPECT_EQ(logits_of(tapped, 1), logits_of(stopping, 1));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, GraphTapsTest,
                         testing::Values("llama", "qwen2", "qwen3", "gemma3", "mpt-no-alibi"));

// Pieces larger than what the taps hold, the same size again and again.
TEST(GraphTaps, LeavePiecesOfAPromptToStops) {
  const Model model = tiny_model("llama");
  const BoundedOptions options = options_with("vase", GGML_TYPE_F16);
  BoundedContext tapped(model.get(), options);
  BoundedContext stopping = stopping_context(model.get(), options);
  const std::vector<llama_token> tokens = random_tokens(600);
  for (BoundedContext *context : {&tapped, &stopping})
    for (size_t first = 0; first < tokens.size(); first += 10)
      context->decode({{.sequence = 0, .tokens = std::span(tokens).subspan(first, 10)}});
  EXPECT_GT(tapped.statistics(0).evictions, 5);
  EXPECT_EQ(kept(tapped, 0), kept(stopping, 0));
}

// A changed setting makes llama.cpp take another scheduler and build its graph anew, in the middle
// of steps that ran without the callback.
TEST(GraphTaps, OutliveTheScheduler) {
  const Model model = tiny_model("qwen3");
  for (const char *policy : {"vase", "streaming"}) {
    SCOPED_TRACE(policy);
    const BoundedOptions options = options_with(policy, GGML_TYPE_F16);
    BoundedContext tapped(model.get(), options);
    BoundedContext stopping = stopping_context(model.get(), options);
    const std::vector<llama_token> tokens = random_tokens(256 + 3 * 32 + 1);
    for (size_t i = 0; i < tokens.size(); ++i) {
      // To take a control vector away, even if there is none.
      if (i % 25 == 24) llama_set_adapter_cvec(tapped.get(), nullptr, 0, 0, 0, 0);
      for (BoundedContext *context : {&tapped, &stopping})
        context->decode({{.sequence = 0, .tokens = {&tokens[i], 1}}});
    }
    EXPECT_EQ(tapped.statistics(0).evictions, 3);
    EXPECT_EQ(kept(tapped, 0), kept(stopping, 0));
    EXPECT_EQ(logits_of(tapped, 0), logits_of(stopping, 0));
  }
}

}  // namespace
}  // namespace vase::tests
