#include "engine/generator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "../llama/tiny_models.hpp"
#include "engine/log.hpp"
#include "loaded_text_model.hpp"

namespace vase::engine::test {
namespace {

BoundedOptions options_for(const char *policy, std::int32_t n_sequences = 1) {
  BoundedOptions options;
  options.policy = vase_params_default(vase_policy_find(policy), 128);
  options.policy.recency = 32;
  options.policy.interval = 32;
  options.n_sequences = n_sequences;
  options.context.n_ctx = 256;
  options.context.n_threads = options.context.n_threads_batch = 1;
  return options;
}

struct Generated {
  std::string text;
  Finish finish = Finish::none;
};

// Runs until nothing is busy; the result of each sequence.
std::map<std::int32_t, Generated> drain(Generator &generator) {
  std::map<std::int32_t, Generated> results;
  while (generator.busy()) {
    for (const Event &event : generator.step()) {
      results[event.sequence].text += event.text;
      if (event.finish != Finish::none) results[event.sequence].finish = event.finish;
    }
  }
  return results;
}

class GeneratorTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = loaded_text_model(); }
  static void TearDownTestSuite() { model_.reset(); }

  static Request request(const std::string &prompt, std::int64_t n_predict,
                         SamplingOptions sampling = {.ignore_eog = true}) {
    return {.prompt = model_->tokenize(prompt), .sampling = sampling, .n_predict = n_predict};
  }
  static std::string generate(const Request &request, const char *policy = "vase") {
    BoundedContext context = model_->make_context(options_for(policy));
    Generator generator(*model_, context);
    generator.start(0, request);
    return drain(generator)[0].text;
  }

  static inline std::unique_ptr<Model> model_;
};

TEST_F(GeneratorTest, TokenizesWhatItWrites) {
  std::string text;
  for (const llama_token token : model_->tokenize("Hello, world!\n")) text += model_->piece(token);
  EXPECT_EQ(text, "Hello, world!\n");
}

TEST_F(GeneratorTest, OneSeedOneText) {
  const auto sampling = [](std::uint32_t seed) {
    return SamplingOptions{.temperature = 1.5f, .seed = seed, .ignore_eog = true};
  };
  const std::string text = generate(request("Once", 300, sampling(1)));
  EXPECT_GT(text.size(), 250U);  // control tokens have no text
  EXPECT_EQ(generate(request("Once", 300, sampling(1))), text);
  EXPECT_NE(generate(request("Once", 300, sampling(2))), text);
}

TEST_F(GeneratorTest, GreedyHasNoSeed) {
  const auto sampling = [](std::uint32_t seed) {
    return SamplingOptions{.temperature = 0, .seed = seed, .ignore_eog = true};
  };
  EXPECT_EQ(generate(request("Once", 50, sampling(1))), generate(request("Once", 50, sampling(2))));
}

TEST_F(GeneratorTest, ReadsLongPromptsPieceByPiece) {
  BoundedContext context = model_->make_context(options_for("vase"));
  Generator generator(*model_, context, 50);
  generator.start(0, request(std::string(1000, 'a'), 3));
  int steps = 0;
  std::int32_t most = 0;
  while (generator.busy()) {
    const std::int64_t before = generator.statistics(0).prompt_done;
    generator.step();
    ++steps;
    const auto read = static_cast<std::int32_t>(generator.statistics(0).prompt_done - before);
    most = std::max(most, read);
  }
  EXPECT_LE(most, 50);
  EXPECT_GT(steps, 20);
  EXPECT_EQ(generator.statistics(0).prompt_done, generator.statistics(0).prompt_tokens);
  EXPECT_GT(context.statistics(0).evictions, 3);
}

TEST_F(GeneratorTest, SequencesDoNotDisturbEachOther) {
  const Request a = request("first prompt", 200);
  const Request b = request("another, which is longer than the first", 100);
  BoundedContext context = model_->make_context(options_for("streaming", 3));
  Generator generator(*model_, context, 16);
  generator.start(0, a);
  generator.step();
  generator.start(2, b);
  auto results = drain(generator);
  EXPECT_EQ(results[0].finish, Finish::length);
  EXPECT_EQ(generator.statistics(0).generated, 200);
  EXPECT_EQ(results[2].finish, Finish::length);
  EXPECT_EQ(generator.statistics(2).generated, 100);
}

TEST_F(GeneratorTest, EndsAtAStopString) {
  const std::string whole = generate(request("Once", 60));
  Request stopped = request("Once", 60);
  stopped.stop = {whole.substr(20, 5)};
  BoundedContext context = model_->make_context(options_for("vase"));
  Generator generator(*model_, context);
  generator.start(0, stopped);
  const Generated result = drain(generator)[0];
  EXPECT_EQ(result.finish, Finish::stop_string);
  EXPECT_EQ(result.text, whole.substr(0, whole.find(stopped.stop[0])));
}

TEST_F(GeneratorTest, EndsAtTheEndOfText) {
  // At a high temperature each of the 96 tokens is about as likely as any other.
  Request any = request("Once", 5000, {.temperature = 50, .top_k = 0, .top_p = 1, .min_p = 0});
  BoundedContext context = model_->make_context(options_for("vase"));
  Generator generator(*model_, context);
  generator.start(0, any);
  EXPECT_EQ(drain(generator)[0].finish, Finish::end_of_text);
  EXPECT_LT(generator.statistics(0).generated, 5000);
}

TEST_F(GeneratorTest, SaysWhenAFullCacheIsFull) {
  BoundedContext context = model_->make_context(options_for("full"));
  Generator generator(*model_, context);
  generator.start(0, request("Once", 5000));
  EXPECT_EQ(drain(generator)[0].finish, Finish::cache_full);
  EXPECT_GT(generator.statistics(0).generated, 200);
}

TEST_F(GeneratorTest, CancelledTextGoesOnWhereItStopped) {
  BoundedContext context = model_->make_context(options_for("vase"));
  Generator generator(*model_, context, 8);
  const Request first = request("a prompt of more than eight tokens", 10);
  generator.start(0, first);
  generator.step();
  generator.cancel(0);
  EXPECT_FALSE(generator.busy());

  Request second;
  second.prompt = model_->tokenize(" and more", false);
  second.n_predict = 1;
  generator.start(0, second);
  drain(generator);
  EXPECT_EQ(context.statistics(0).tokens,
            static_cast<std::int64_t>(first.prompt.size() + second.prompt.size()))
      << "the rest of the first prompt was read before the second";
}

TEST_F(GeneratorTest, ASecondPromptIsPinnedInPlaceOfTheFirst) {
  BoundedContext context = model_->make_context(options_for("vase-plus"));
  Generator generator(*model_, context);
  const Request first = request(std::string(40, 'a'), 20);
  generator.start(0, first);
  drain(generator);
  const auto first_end = static_cast<std::int64_t>(first.prompt.size());
  EXPECT_EQ(context.prompts(0).newest_end, first_end);
  const std::int64_t before = context.statistics(0).tokens;

  Request second = request(std::string(30, 'b'), 20);
  const auto length = static_cast<std::int64_t>(second.prompt.size());
  generator.start(0, second);
  drain(generator);
  EXPECT_EQ(context.prompts(0).first_end, first_end);
  EXPECT_EQ(context.prompts(0).newest_begin, before);
  EXPECT_EQ(context.prompts(0).newest_end, before + 1 + length)
      << "the last token of the answer before it was still to be read";

  second.pins = false;
  generator.start(0, second);
  drain(generator);
  EXPECT_EQ(context.prompts(0).newest_end, before + 1 + length);
}

// The message of a thought that may have no token is what the model says first.
TEST_F(GeneratorTest, TheMarkThatOpensAThoughtIsPinnedWithThePrompt) {
  for (const std::string said : {"\n<think>\n", "<|channel|>analysis", "A <think>"}) {
    for (const bool pins : {true, false}) {
      BoundedContext context = model_->make_context(options_for("vase-plus"));
      Generator generator(*model_, context);
      Request asked = request("Why?<think>", 100);
      asked.thinking = {.budget = 0, .message = said + "a thought"};
      asked.pins = pins;
      generator.start(0, asked);
      drain(generator);
      const bool pinned = pins && said != "A <think>";
      EXPECT_EQ(context.prompts(0).newest_end,
                static_cast<std::int64_t>(asked.prompt.size() + (pinned ? said.size() : 0)))
          << said;
    }
  }
}

TEST_F(GeneratorTest, AShortPromptDoesNotWaitForALongOne) {
  BoundedContext context = model_->make_context(options_for("vase", 2));
  Generator generator(*model_, context, 40);
  generator.start(0, request(std::string(2000, 'a'), 1));
  generator.start(1, request(std::string(100, 'b'), 1));
  int steps = 0;
  while (generator.busy(1)) {
    generator.step();
    ++steps;
  }
  EXPECT_LE(steps, 6);  // half of each step is its own
  EXPECT_TRUE(generator.reading_prompt(0));
  EXPECT_EQ(generator.statistics(0).prompt_done, 20 * steps);
}

TEST_F(GeneratorTest, EvictionsDoNotDependOnTheCompanyOfAPrompt) {
  const Request long_one =
      request(std::string(700, 'a'), 60, {.temperature = 0, .ignore_eog = true});
  const auto evictions_beside = [&](std::size_t other) {
    BoundedContext context = model_->make_context(options_for("vase", 2));
    Generator generator(*model_, context, 40);
    if (other > 0) generator.start(1, request(std::string(other, 'b'), 10));
    generator.start(0, long_one);
    drain(generator);
    return context.statistics(0).evictions;
  };
  const std::int64_t alone = evictions_beside(0);
  EXPECT_GT(alone, 3);
  EXPECT_EQ(evictions_beside(90), alone);
  EXPECT_EQ(evictions_beside(333), alone);
}

TEST_F(GeneratorTest, ReportsLogProbabilities) {
  BoundedContext context = model_->make_context(options_for("vase"));
  Generator generator(*model_, context);
  Request greedy = request("Once", 5, {.temperature = 0, .ignore_eog = false});
  greedy.n_logprobs = tests::kVocabulary + 10;
  generator.start(0, greedy);
  while (generator.busy()) {
    for (const Event &event : generator.step()) {
      ASSERT_EQ(event.logprobs.size(), tests::kVocabulary + 1U);
      EXPECT_EQ(event.logprobs[0].token, event.token);
      EXPECT_EQ(event.logprobs[0].logprob, event.logprobs[1].logprob);  // the likeliest was taken
      double sum = 0;
      for (std::size_t i = 1; i < event.logprobs.size(); ++i) {
        EXPECT_LE(event.logprobs[i].logprob, event.logprobs[i - 1].logprob);
        sum += std::exp(static_cast<double>(event.logprobs[i].logprob));
      }
      EXPECT_NEAR(sum, 1, 1e-4);
    }
  }
}

TEST_F(GeneratorTest, ClearForgets) {
  const Request once = request("Once", 40);
  BoundedContext context = model_->make_context(options_for("vase"));
  Generator generator(*model_, context);
  generator.start(0, once);
  const std::string text = drain(generator)[0].text;
  generator.clear(0);
  generator.start(0, once);
  EXPECT_EQ(drain(generator)[0].text, text);
}

TEST_F(GeneratorTest, RefusesAnEmptyPromptAndABusySequence) {
  BoundedContext context = model_->make_context(options_for("vase"));
  Generator generator(*model_, context);
  EXPECT_THROW(generator.start(0, {}), Error);
  generator.start(0, request("Once", 5));
  EXPECT_THROW(generator.start(0, request("Once", 5)), Error);
}

// A model that looks positions up in a table knows none beyond its end.
TEST(GeneratorOfLearnedPositionsTest, EndsWithThem) {
  init_llama(false);
  const tests::TemporaryFolder folder;
  tests::write_tiny_model("gpt2", folder / "model.gguf");
  const Model model(ModelOptions{.path = folder / "model.gguf", .n_gpu_layers = 0});
  BoundedContext context = model.make_context(options_for("vase"));
  Generator generator(model, context);
  const auto request = [](std::size_t length) {
    return Request{.prompt = std::vector<llama_token>(length, 5),
                   .sampling = {.ignore_eog = true},
                   .text = false};
  };
  generator.start(0, request(tests::kPositionTable - 10));
  EXPECT_EQ(drain(generator)[0].finish, Finish::no_positions);
  EXPECT_EQ(generator.statistics(0).generated, 11) << "the last one is not read";
  generator.clear(0);
  EXPECT_THROW(generator.start(0, request(tests::kPositionTable + 1)), Error);
}

}  // namespace
}  // namespace vase::engine::test
