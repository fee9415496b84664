// Sequences that sit a step out are given a token for the others' sake, and must not notice.
#include <gtest/gtest.h>

#include "contexts.hpp"

namespace vase::tests {
namespace {

BoundedOptions options_with(int32_t bridge, const std::string &policy) {
  BoundedOptions options = options_for(policy, 96);
  options.n_sequences = 5;
  options.bridge = bridge;
  options.context.n_ctx = 512;
  return options;
}

// Sequence 1 stays empty, 3 rests in the middle of its text, the others decode.
void feed_around(BoundedContext &context) {
  const std::vector<llama_token> tokens = random_tokens(300);
  feed_singly(context, 3, std::span(tokens).first(150));
  for (const llama_token &token : tokens)
    context.decode({{.sequence = 0, .tokens = {&token, 1}},
                    {.sequence = 2, .tokens = {&token, 1}},
                    {.sequence = 4, .tokens = {&token, 1}}});
}

// A model with recurrent layers cannot take a token back, so it is given none.
class Bridge : public testing::TestWithParam<std::pair<const char *, const char *>> {};
INSTANTIATE_TEST_SUITE_P(, Bridge,
                         testing::Values(std::pair("llama", "random"), std::pair("llama", "full"),
                                         std::pair("lfm2", "random"), std::pair("lfm2", "full")));

TEST_P(Bridge, LeavesEverySequenceAsItWas) {
  const auto [architecture, policy] = GetParam();
  const Model model = tiny_model(architecture);
  BoundedContext apart(model.get(), options_with(0, policy));
  BoundedContext bridged(model.get(), options_with(4, policy));
  feed_around(apart);
  feed_around(bridged);
  for (const int32_t sequence : {0, 2, 3, 4}) {
    EXPECT_EQ(bridged.statistics(sequence).tokens, apart.statistics(sequence).tokens);
    EXPECT_EQ(bridged.statistics(sequence).rows, apart.statistics(sequence).rows);
    EXPECT_EQ(bridged.statistics(sequence).evictions, apart.statistics(sequence).evictions);
    EXPECT_EQ(kept(bridged, sequence), kept(apart, sequence));
  }
  EXPECT_EQ(bridged.statistics(1).tokens, 0);
  // The one that rested goes on as if nothing had been.
  const std::vector<llama_token> more = random_tokens(60, 9);
  feed_singly(bridged, 3, more);
  feed_singly(apart, 3, more);
  EXPECT_EQ(kept(bridged, 3), kept(apart, 3));
  const std::vector<float> a = logits_of(bridged, 3), b = logits_of(apart, 3);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 0.02f);
}

TEST(BridgeOf, SparesASequenceWithoutAFreeCell) {
  const Model model = tiny_model("llama");
  BoundedContext context(model.get(), options_with(4, "full"));
  feed_singly(context, 1, random_tokens(512));
  ASSERT_EQ(context.room(1), 0);
  const llama_token token = 5;
  for (int i = 0; i < 3; ++i)
    context.decode(
        {{.sequence = 0, .tokens = {&token, 1}}, {.sequence = 2, .tokens = {&token, 1}}});
  EXPECT_EQ(context.statistics(1).tokens, 512);
  EXPECT_EQ(context.statistics(2).tokens, 3);
}

}  // namespace
}  // namespace vase::tests
