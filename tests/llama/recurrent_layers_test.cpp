// Models in which some layers are recurrent: only the attention layers are bounded, and a state
// that has moved on stays where it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "contexts.hpp"
#include "llama/owned/context_state.hpp"

namespace vase::tests {
namespace {

using testing::Lt;

constexpr size_t kStateBytes = size_t{2} * kEmbedding * sizeof(float);  // of a kernel of 3 tokens

BoundedOptions options_with(const std::string &policy, int32_t budget = 96) {
  BoundedOptions options = options_for(policy, budget);
  options.n_sequences = 2;
  return options;
}

TEST(RecurrentLayers, TheStateIsCountedAndDoesNotGrow) {
  const Model model = tiny_model("lfm2");
  for (const char *policy : {"full", "vase-plus"}) {
    SCOPED_TRACE(policy);
    BoundedOptions options = options_with(policy);
    options.context.n_ctx = 256;
    const BoundedContext context(model.get(), options);
    const auto cells = static_cast<size_t>(context.cells_per_sequence());
    // One layer of keys and values, one state a sequence. llama.cpp says hundredths of a MiB.
    const size_t expected = 2 * (2 * cells * kHeads * kHeadDim * sizeof(uint16_t) + kStateBytes);
    EXPECT_NEAR(static_cast<double>(context.cache_bytes()), static_cast<double>(expected),
                0.02 * (1 << 20));
  }
}

TEST(RecurrentLayers, EvictionLeavesTheStateAsItWas) {
  const Model model = tiny_model("lfm2");
  const std::vector<llama_token> text = random_tokens(96 + 2 * 32), next = random_tokens(1, 5);
  BoundedOptions options = options_with("vase-plus", 96);
  BoundedContext bounded(model.get(), options);
  options.policy.budget = 200;
  BoundedContext roomy(model.get(), options);
  for (BoundedContext *context : {&bounded, &roomy}) {
    feed_singly(*context, 0, text);
    feed_singly(*context, 0, next);
  }
  EXPECT_EQ(bounded.statistics(0).evictions, 2);
  EXPECT_EQ(roomy.statistics(0).evictions, 0);
  // The recurrent layer comes first, so the key of the newest token says what its state was.
  const auto newest_key = [](llama_model *of, const BoundedOptions &with,
                             std::span<const llama_token> tokens) {
    ContextState state(of, with);
    for (const llama_token &token : tokens)
      state.decode(std::vector<SequenceInput>{{.sequence = 0, .tokens = {&token, 1}}}, {});
    const CacheRows &keys = state.keeper->layers().front().keys;
    std::vector<std::byte> stream;
    keys.read_stream(0, stream);
    const auto bytes = static_cast<size_t>(keys.rows.row_stride);
    const auto cell = static_cast<size_t>(state.keeper->ledger().rows(0).cells().back());
    const auto row = std::span(stream).subspan(cell * bytes, bytes);
    return std::vector<std::byte>(row.begin(), row.end());
  };
  options.policy.budget = 96;
  const auto evicted = newest_key(model.get(), options, text);
  options.policy.budget = 200;
  EXPECT_EQ(evicted, newest_key(model.get(), options, text));
}

TEST(RecurrentLayers, TokensAreNotTakenBack) {
  const Model model = tiny_model("lfm2");
  ContextState state(model.get(), options_with("vase-plus"));
  const std::vector<llama_token> text = random_tokens(40);
  state.decode(std::vector<SequenceInput>{{.sequence = 0, .tokens = text}}, {});
  EXPECT_FALSE(state.keeper->seq_rm(0, 39, -1));
  EXPECT_EQ(state.keeper->ledger().tokens(0), 40);
  EXPECT_TRUE(state.keeper->seq_rm(0, 0, -1)) << "all of them are forgotten";
  EXPECT_EQ(state.keeper->ledger().tokens(0), 0);
}

// A step that was stopped half-way would leave a state that belongs to no text.
TEST(RecurrentLayers, AStepThatRunsIsFinished) {
  const Model model = tiny_model("lfm2");
  BoundedOptions options = options_with("vase-plus");
  options.context.abort_callback = [](void *) { return true; };
  BoundedContext context(model.get(), options);
  const std::vector<llama_token> text = random_tokens(40);
  context.decode({{.sequence = 0, .tokens = text}});
  EXPECT_EQ(context.statistics(0).tokens, 40);
}

// llama.cpp aborts in Kimi Linear's graph where a ubatch is no multiple of the sequences.
TEST(RecurrentLayers, SequencesGetEquallyManyTokensOfAUbatch) {
  const Model model = tiny_model("lfm2");
  BoundedOptions options = options_with("vase-plus");
  options.n_sequences = 3;
  for (const uint32_t n_ubatch : {0U, 64U, 2U}) {
    options.context.n_ubatch = n_ubatch;
    const BoundedContext context(model.get(), options);
    const uint32_t taken = llama_n_ubatch(context.get());
    if (n_ubatch == 2)
      EXPECT_EQ(taken, 2u);
    else
      EXPECT_EQ(taken % 3, 0u) << n_ubatch;
  }
}

}  // namespace
}  // namespace vase::tests
