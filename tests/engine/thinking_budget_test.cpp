#include "engine/thinking_budget.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "../llama/tiny_models.hpp"
#include "engine/generator.hpp"
#include "engine/log.hpp"
#include "loaded_text_model.hpp"

namespace vase::engine::test {
namespace {

class ThinkingBudgetTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = loaded_text_model(Bytes::of_a_smile); }
  static void TearDownTestSuite() { model_.reset(); }

  static std::vector<llama_token> tokens(std::string_view text) {
    return model_->tokenize(text, false);
  }

  /// What an answer becomes if the model wants to say `wish` and nothing else: a token that is due
  /// takes the place of none of the wish's.
  static std::string answer(ThinkingBudget &budget, std::string_view wish) {
    std::string text;
    const auto say = [&](llama_token token) {
      budget.push(token);
      text += model_->piece(token, true);
    };
    for (const llama_token token : tokens(wish)) {
      while (const auto due = budget.due()) say(*due);
      say(token);
    }
    while (const auto due = budget.due()) say(*due);
    return text;
  }
  static std::string answer(const ThinkingOptions &options, std::string_view prompt,
                            std::string_view wish) {
    ThinkingBudget budget(*model_, options, tokens(prompt));
    return answer(budget, wish);
  }

  /// Generates from random weights.
  static std::string generate(std::string_view prompt, const ThinkingOptions &thinking,
                              GenerationStatistics *statistics = nullptr) {
    BoundedOptions options;
    options.policy = vase_params_default(vase_policy_default(), 128);
    options.policy.recency = options.policy.interval = 32;
    options.context.n_threads = options.context.n_threads_batch = 1;
    BoundedContext context = model_->make_context(options);
    Generator generator(*model_, context);
    generator.start(0, {.prompt = model_->tokenize(prompt),
                        .sampling = {.temperature = 1.5f, .seed = 3, .ignore_eog = true},
                        .n_predict = 200,
                        .thinking = thinking});
    std::string text;
    while (generator.busy()) {
      for (const Event &event : generator.step()) text += event.text;
    }
    if (statistics != nullptr) *statistics = generator.statistics(0);
    return text;
  }

  static inline std::unique_ptr<Model> model_;
};

TEST_F(ThinkingBudgetTest, EndsAThoughtThatThePromptOpened) {
  const ThinkingOptions options{.budget = 4, .message = " Enough."};
  EXPECT_EQ(answer(options, "Why?<think>\n", "abcdefgh"), "abcd Enough.</think>efgh");
  EXPECT_EQ(answer({.budget = 0}, "Why?<think>\n", "ab"), "</think>ab");
  EXPECT_EQ(answer({.budget = -1}, "Why?<think>\n", "abcdefgh"), "abcdefgh");
}

// A model that has learned ">\n\n" as one token has never seen a mark end otherwise.
TEST_F(ThinkingBudgetTest, WritesTheLineThatATokeniserJoinsToTheMark) {
  const tests::TemporaryFolder folder;
  write_text_model(folder / "joins.gguf", "", Bytes::of_a_joined_line);
  const Model joins({.path = folder / "joins.gguf", .n_gpu_layers = 0});
  const auto written = [](const Model &model, const ThoughtMarks &marks) {
    std::string text;
    for (const llama_token token : end_of_thought(model.vocab(), marks, "So.")) {
      text += model.piece(token, true);
    }
    return text;
  };
  EXPECT_EQ(written(joins, {"<think>", "</think>"}), "So.</think>\n\n");
  EXPECT_EQ(written(joins, {"[THINK]", "[/THINK]"}), "So.[/THINK]");
  EXPECT_EQ(written(*model_, {"<think>", "</think>"}), "So.</think>");
}

TEST_F(ThinkingBudgetTest, EndsAThoughtThatTheModelOpened) {
  EXPECT_EQ(answer({.budget = 2}, "Why?", "So <think>abcd"), "So <think>ab</think>cd");
  EXPECT_EQ(answer({.budget = 0}, "Why?", "<think>ab"), "<think></think>ab");
}

TEST_F(ThinkingBudgetTest, LeavesAloneWhatIsNoThoughtOrEndsByItself) {
  EXPECT_EQ(answer({.budget = 2}, "Why <think>?", "abcdef"), "abcdef");
  EXPECT_EQ(answer({.budget = 20}, "<think>", "ab</think>and a long answer after it"),
            "ab</think>and a long answer after it");
}

TEST_F(ThinkingBudgetTest, GivesEachThoughtTheWholeBudget) {
  EXPECT_EQ(answer({.budget = 12}, "<think>", "ab</think>c<think>defghijklmnopqr"),
            "ab</think>c<think>defghijklmno</think>pqr");
}

TEST_F(ThinkingBudgetTest, KnowsTheMarksOfOtherModels) {
  int n_known = 0;
  for (const ThoughtMarks &marks : kThoughtMarks) {
    // The model knows not all characters of ASCII.
    std::string spelled;
    for (const llama_token token : tokens(marks.open)) spelled += model_->piece(token);
    if (spelled != marks.open) continue;
    ++n_known;
    const std::string end(marks.how_to_end());
    EXPECT_EQ(answer({.budget = 3}, "Why?" + std::string(marks.open), "abcd"), "abc" + end + "d");
    EXPECT_EQ(answer({.budget = 3}, "Why?", std::string(marks.open) + "abcd"),
              std::string(marks.open) + "abc" + end + "d");
  }
  EXPECT_GE(n_known, 5);
}

TEST_F(ThinkingBudgetTest, EndsNoThoughtInsideACharacter) {
  const std::string smile = "\xf0\x9f\x98\x80";
  EXPECT_EQ(answer({.budget = 2}, "<think>", "a" + smile + "b"), "a" + smile + "</think>b");
}

TEST_F(ThinkingBudgetTest, WaitsForAMarkThatHasBegun) {
  EXPECT_EQ(answer({.budget = 3}, "<think>", "ab</think>so"), "ab</think>so");
  EXPECT_EQ(answer({.budget = 3}, "<think>", "ab<cd"), "ab<c</think>d");
  const std::string begun(20, '<');
  const auto waited = static_cast<std::size_t>(3 + ThinkingBudget::kPatience);
  EXPECT_EQ(answer({.budget = 3}, "<think>", begun),
            begun.substr(0, waited) + "</think>" + begun.substr(waited));
}

TEST_F(ThinkingBudgetTest, WhatIsTakenBackStaysSpent) {
  ThinkingBudget budget(*model_, {.budget = 6}, tokens("<think>"));
  ASSERT_EQ(answer(budget, "abcd"), "abcd");
  budget.go_back(tokens("ab"));
  EXPECT_EQ(answer(budget, "efghij"), "ef</think>ghij");
  EXPECT_EQ(budget.cuts(), 1);
  // Back into a thought that was cut: it is ended again at once.
  budget.go_back(tokens("ab"));
  EXPECT_EQ(answer(budget, "kl"), "kl");
}

TEST_F(ThinkingBudgetTest, TheGeneratorWritesWhatIsDue) {
  GenerationStatistics statistics;
  const std::string free = generate("abc<think>", {});
  const std::string bound =
      generate("abc<think>", {.budget = 150, .message = "Stop."}, &statistics);
  const std::size_t end = bound.find("Stop.</think>");  // control tokens have no text
  ASSERT_NE(end, bound.npos);
  EXPECT_GT(end, 100U);
  EXPECT_EQ(bound.substr(0, end), free.substr(0, end));
  EXPECT_EQ(statistics.thoughts_cut, 1);
  EXPECT_EQ(statistics.generated, 200);
  EXPECT_EQ(generate("abc", {.budget = 150}), generate("abc", {}));
}

}  // namespace
}  // namespace vase::engine::test
