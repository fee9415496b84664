// Bad input gets one clear line, never a crash inside llama.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "contexts.hpp"

namespace vase::tests {
namespace {

using testing::HasSubstr;

template <typename Action>
std::string refusal(const Action &action) {
  try {
    action();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), testing::Not(HasSubstr("\n")));
    return error.what();
  }
  return "nothing was refused";
}

std::string refusal_of(const std::string &architecture, const BoundedOptions &options) {
  const Model model = tiny_model(architecture);
  return refusal([&] { const BoundedContext context(model.get(), options); });
}

TEST(Refusals, ModelsThatCannotBeBounded) {
  EXPECT_THAT(refusal_of("mamba", options_for("vase", 128)), HasSubstr("mamba"));
  EXPECT_THAT(refusal_of("mamba", options_for("vase", 128)), HasSubstr("recurrent"));
  EXPECT_THAT(refusal_of("mpt", options_for("vase", 128)), HasSubstr("ALiBi"));
  EXPECT_THAT(refusal([] { const BoundedContext context(nullptr, options_for("vase", 128)); }),
              HasSubstr("null"));
}

TEST(Refusals, Options) {
  BoundedOptions options = options_for("vase", 30);
  EXPECT_THAT(refusal_of("llama", options), HasSubstr("budget 30 is too small"));
  options = options_for("vase", kSlidingWindow - 1);
  EXPECT_THAT(refusal_of("gemma3", options), HasSubstr("sliding window of 64"));
  options = options_for("vase", 128);
  options.context.type_k = GGML_TYPE_Q4_1;
  EXPECT_THAT(refusal_of("llama", options), HasSubstr("q4_1 of the keys"));
  options = options_for("vase", 128);
  options.context.type_v = GGML_TYPE_Q5_1;
  EXPECT_THAT(refusal_of("llama", options), HasSubstr("q5_1 of the values"));
  for (const float share : {-0.1f, 0.95f, std::numeric_limits<float>::quiet_NaN()}) {
    options = options_for("vase", 128);
    options.pin_prompt = share;
    EXPECT_THAT(refusal_of("llama", options), HasSubstr("0 to 0.9"));
  }
  for (const int32_t n : {-1, 0, 100000}) {
    options = options_for("vase", 128);
    options.n_sequences = n;
    EXPECT_THAT(refusal_of("llama", options),
                HasSubstr("number of sequences " + std::to_string(n)));
  }
  options = options_for("vase", 128);
  options.policy.window = 1000;
  EXPECT_THAT(refusal_of("llama", options), HasSubstr("query window 1000"));
  options = options_for("vase", 200'000'000);
  options.n_sequences = 100;
  EXPECT_THAT(refusal_of("llama", options), HasSubstr("more than llama.cpp can count"));
  options = options_for("vase", 128);
  options.policy.policy = nullptr;
  EXPECT_THAT(refusal_of("llama", options), HasSubstr("no eviction policy"));
}

TEST(Refusals, Inputs) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("vase", 128);
  options.n_sequences = 2;
  BoundedContext context(model.get(), options);
  const std::vector<llama_token> text = random_tokens(20);
  const std::vector<llama_token> unknown = {1, kVocabulary};
  EXPECT_THAT(refusal([&] { context.decode({{.sequence = 2, .tokens = text}}); }),
              HasSubstr("sequence 2"));
  EXPECT_THAT(refusal([&] { context.decode({{.sequence = -1, .tokens = text}}); }),
              HasSubstr("sequence -1"));
  EXPECT_THAT(refusal([&] { context.decode({{.sequence = 0, .tokens = {}}}); }),
              HasSubstr("no tokens"));
  EXPECT_THAT(refusal([&] {
                context.decode({{.sequence = 1, .tokens = text}, {.sequence = 1, .tokens = text}});
              }),
              HasSubstr("twice"));
  EXPECT_THAT(refusal([&] { context.decode({{.sequence = 0, .tokens = unknown}}); }),
              HasSubstr("vocabulary"));
  EXPECT_THAT(refusal([&] { context.logits_index(0); }), HasSubstr("no tokens"));
  EXPECT_THAT(refusal([&] { context.positions(0, 7, 0); }), HasSubstr("layer 7"));
  EXPECT_THAT(refusal([&] { context.positions(0, 0, 7); }), HasSubstr("head 7"));

  // A refused input leaves the sequence as it was.
  EXPECT_EQ(context.statistics(0).tokens, 0);
  context.decode({{.sequence = 0, .tokens = text}});
  EXPECT_EQ(context.statistics(0).tokens, 20);
  EXPECT_THAT(refusal([&] { context.logits_index(0, 1); }), HasSubstr("token 1"));
}

TEST(Refusals, APlainContextThatIsFull) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("full", 128);
  options.context.n_ctx = 256;
  BoundedContext context(model.get(), options);
  context.decode({{.sequence = 0, .tokens = random_tokens(250)}});
  EXPECT_THAT(refusal([&] { context.decode({{.sequence = 0, .tokens = random_tokens(10)}}); }),
              HasSubstr("is full"));
  EXPECT_EQ(context.room(0), 6);
  context.decode({{.sequence = 0, .tokens = random_tokens(6)}});
  EXPECT_EQ(context.statistics(0).rows, 256);
}

}  // namespace
}  // namespace vase::tests
