// Words, assignments and equations, in questions of the shape that public files have.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "../llama/tiny_models.hpp"
#include "eval/equation.hpp"
#include "eval/exact_text.hpp"
#include "eval/grading.hpp"
#include "eval/question_file.hpp"
#include "vase/llama.hpp"

namespace vase::eval {
namespace {

using ::testing::HasSubstr;

class KindsOfAnswers : public ::testing::Test {
 protected:
  Question read(const std::string &content, const std::string &name = "set.jsonl") {
    std::ofstream(folder_ / name) << content;
    return read_questions(folder_ / name, {}).at(0);
  }
  static bool right(const Question &question, const std::string &reply) {
    return GradingDesk({question}, "").grade(question, reply).correct;
  }
  tests::TemporaryFolder folder_;
};

TEST_F(KindsOfAnswers, KnightsAndKnaves) {
  const Question question = read(
      R"({"quiz": "Who is what?", "names": ["Ann", "Bo"], "solution": [true, false], "index": 3})");
  EXPECT_EQ(question.grader, Grader::assignment);
  EXPECT_EQ(question.expected, "knight|knave: Ann=knight; Bo=knave");
  EXPECT_TRUE(right(question, "\\boxed{\\text{Ann is a knight, Bo is a knave}}"));
  EXPECT_TRUE(right(question, "Ann is a knave? No.\n1. **Ann**: Knight\n2. **Bo**: Knave"));
  EXPECT_FALSE(right(question, "Ann and Bo are knights"));
  EXPECT_FALSE(right(question, "Ann is a knight"));
  EXPECT_FALSE(right(question, "<think>Ann is a knight, Bo is a knave"));
}

TEST_F(KindsOfAnswers, Countdown) {
  const Question question = read(
      "id,question,answer,nums\nc1,\"Using all numbers, make 6\nof \"\"them\"\".\",6,\"[1, 2, "
      "3]\"\n",
      "set.csv");
  EXPECT_EQ(question.expected, "6 from all of 1, 2, 3");
  EXPECT_THAT(question.text, HasSubstr("make 6\nof \"them\"."));
  EXPECT_TRUE(right(question, "<answer> 1 * 2 * 3 </answer>"));
  EXPECT_TRUE(right(question, "\\boxed{1 + 2 + 3 = 6}"));
  EXPECT_TRUE(right(question, "So (3 \\times 2) \\div 1 = 6."));
  EXPECT_FALSE(right(question, "\\boxed{3 * 2}")) << "not all";
  EXPECT_FALSE(right(question, "\\boxed{3 + 3}")) << "twice";
  EXPECT_FALSE(right(question, "\\boxed{6}"));
}

// The wordings of reasoning-gym 0.1.25, whose scorer wants every number once, and an older one.
TEST_F(KindsOfAnswers, CountdownOfReasoningGym) {
  const auto expected = [this](const std::string &task, const std::string &asked) {
    const Question question =
        read(R"({"task": ")" + task + R"(", "category": "games", "question": ")" + asked +
             R"(\nEach number may be used at most once.", "answer": "2*3"})");
    EXPECT_EQ(question.grader, Grader::equation) << asked;
    return question.expected;
  };
  EXPECT_EQ(expected("countdown", "Calculate 6 using all of these numbers: 3, 2, 1."),
            "6 from all of 3, 2, 1");
  EXPECT_EQ(expected("countdown", "Find a way to make 6 using all of these numbers: 3, 2, 1."),
            "6 from all of 3, 2, 1");
  EXPECT_EQ(
      expected("countdown", "Using all the numbers 3, 2, 1, create an expression that equals 6."),
      "6 from all of 3, 2, 1");
  EXPECT_EQ(
      expected("countdown", "Find a way to make 6 using some or all of these numbers: 3, 2, 1."),
      "6 from some of 3, 2, 1");
  EXPECT_EQ(expected("puzzle24", "Make 24 using 6, 4, 1, 1. You can use the operators +, -, *, /."),
            "24 from all of 6, 4, 1, 1");
}

TEST(Equation, IsExact) {
  const auto value = evaluate("\\frac{1}{3} + 2/3 - 1");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->value.numerator, 0);
  EXPECT_FALSE(evaluate("1/(2-2)"));
  EXPECT_FALSE(evaluate("9223372036854775807 * 2"));
  EXPECT_FALSE(evaluate(std::string(100'000, '(')));
  EXPECT_FALSE(evaluate(std::string(100'000, '-') + "1"));
  EXPECT_FALSE(evaluate("1 +"));
}

TEST_F(KindsOfAnswers, Words) {
  const Question question = read(R"({"input": "Sort.", "target": "apple pear"})");
  EXPECT_EQ(question.grader, Grader::exact);
  EXPECT_TRUE(right(question, "\\boxed{\\text{Apple, pear}}"));
  EXPECT_TRUE(right(question, "The answer is: apple, pear."));
  EXPECT_FALSE(right(question, "\\boxed{pear apple}"));
  EXPECT_FALSE(right(question, "\\boxed{fig apple pear plum}")) << "not one among many";
  EXPECT_EQ(plain_text("\\frac{1}{2}"), "1/2");
  EXPECT_EQ(plain_text("2 \\times 3"), plain_text("2 * 3"));
}

TEST_F(KindsOfAnswers, ChoicesThatStandInTheQuestion) {
  const Question letter =
      read(R"x({"examples": [{"input": "Which?\nOptions:\n(A) x\n(B) y", "target": "(B)"}]})x");
  EXPECT_EQ(letter.grader, Grader::choice);
  EXPECT_TRUE(right(letter, "the answer is (B)"));
  const Question number =
      read(R"({"question": "Who?\nSelect the correct answer:\n1. a\n2. b", "answer": "2"})");
  EXPECT_EQ(number.grader, Grader::choice);
  EXPECT_TRUE(right(number, "<ANSWER>2</ANSWER>"));
}

TEST_F(KindsOfAnswers, WhereAndInstruction) {
  std::ofstream(folder_ / "m.jsonl") << R"({"problem": "a", "answer": 1, "level": "Level 2"})"
                                        "\n"
                                        R"({"problem": "b", "answer": 2, "level": 5})"
                                        "\n";
  const ReadOptions options{.instruction = "!", .where = {"level=1,2"}};
  const auto questions = read_questions(folder_ / "m.jsonl", options);
  ASSERT_EQ(questions.size(), 1U);
  EXPECT_EQ(questions[0].text, "a!");
  EXPECT_THROW(read_questions(folder_ / "m.jsonl", {.where = {"levl=1"}}), Error);
  EXPECT_THROW(read("PAR1...."), Error);
}

}  // namespace
}  // namespace vase::eval
