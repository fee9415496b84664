// A sequence copied to another: what both do from there on.
#include <gtest/gtest.h>

#include "contexts.hpp"

namespace vase::tests {
namespace {

BoundedOptions options_with(const char *policy) {
  BoundedOptions options = options_for(policy, 96);
  options.n_sequences = 3;
  return options;
}

// With the draws of the first, the copy keeps the rows that the first keeps.
TEST(Copy, GoesOnAsTheOriginal) {
  for (const char *architecture : {"llama", "gemma3", "lfm2"}) {
    SCOPED_TRACE(architecture);
    const Model model = tiny_model(architecture);
    BoundedOptions options = options_with("vase");
    options.policy.budget = 256;
    BoundedContext context(model.get(), options);
    context.decode({{.sequence = 2, .tokens = random_tokens(20, 9)}});  // to be overwritten
    // The copy is made where an eviction is due.
    feed_singly(context, 0, random_tokens(256 + 2 * 32));
    context.copy(0, 2);
    context.set_draw_stream(2, 0);
    EXPECT_EQ(kept(context, 2), kept(context, 0));
    for (const int32_t sequence : {0, 2}) feed_singly(context, sequence, random_tokens(100, 5));
    EXPECT_EQ(context.statistics(2).tokens, 256 + 2 * 32 + 100);
    EXPECT_EQ(context.statistics(2).evictions, 5);
    EXPECT_EQ(kept(context, 2), kept(context, 0));
  }
}

TEST(Copy, DrawsOnItsOwn) {
  const Model model = tiny_model("llama");
  BoundedContext context(model.get(), options_with("vase"));
  feed_singly(context, 0, random_tokens(150));
  context.copy(0, 1);
  for (const int32_t sequence : {0, 1}) feed_singly(context, sequence, random_tokens(64, 5));
  EXPECT_NE(kept(context, 1), kept(context, 0));
}

// Without evictions the copy's next logits are those of the original.
TEST(Copy, HasTheLogitsOfTheOriginal) {
  const Model model = tiny_model("qwen3");
  for (const char *policy : {"full", "vase"}) {
    BoundedContext context(model.get(), options_with(policy));
    context.decode({{.sequence = 0, .tokens = random_tokens(60)}});
    context.copy(0, 1);
    context.copy(1, 2);
    EXPECT_THROW(context.logits(2), Error);
    const llama_token token = 7;
    for (const int32_t sequence : {0, 2}) feed_singly(context, sequence, {&token, 1});
    context.decode({{.sequence = 0, .tokens = {&token, 1}},
                    {.sequence = 1, .tokens = {&token, 1}},
                    {.sequence = 2, .tokens = {&token, 1}}});
    const std::vector<float> a = logits_of(context, 0), b = logits_of(context, 2);
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-3f) << "token " << i;
  }
}

TEST(Copy, RefusesSequencesThatAreNotThere) {
  const Model model = tiny_model("llama");
  BoundedContext context(model.get(), options_with("vase"));
  EXPECT_THROW(context.copy(0, 3), Error);
  EXPECT_THROW(context.copy(-1, 0), Error);
}

}  // namespace
}  // namespace vase::tests
