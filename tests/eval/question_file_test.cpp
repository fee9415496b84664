// The files that people share, line by line as they have them.
#include "eval/question_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "../llama/tiny_models.hpp"
#include "eval/grading.hpp"
#include "vase/llama.hpp"

namespace vase::eval {
namespace {

using ::testing::HasSubstr;

class QuestionFile : public ::testing::Test {
 protected:
  std::vector<Question> read(const std::string &content, const std::string &name = "set.jsonl",
                             std::optional<Grader> grader = {}) {
    std::ofstream(folder_ / name) << content;
    return read_questions(folder_ / name, {.grader = grader});
  }
  std::string error_of(const std::string &content) {
    try {
      read(content);
    } catch (const Error &error) {
      return error.what();
    }
    return {};
  }
  tests::TemporaryFolder folder_;
};

TEST_F(QuestionFile, Aime) {
  const auto questions =
      read(R"({"id": 60, "problem": "Find $n$.", "solution": "...", "answer": "204", "year": 2024})"
           "\n"
           R"({"id": 61, "problem": "Find $m$.", "solution": "...", "answer": "025"})",
           "aime24.jsonl");
  ASSERT_EQ(questions.size(), 2U);
  EXPECT_EQ(questions[0].task, "aime24");
  EXPECT_EQ(questions[0].id, "60");
  EXPECT_EQ(questions[0].grader, Grader::number);
  EXPECT_THAT(questions[0].text, HasSubstr("Find $n$.\n\nThink step by step"));
  GradingDesk desk(questions, "");
  EXPECT_TRUE(desk.grade(questions[1], "... so \\boxed{25}").correct);
  EXPECT_FALSE(desk.grade(questions[1], "... so \\boxed{26}").correct);
  EXPECT_EQ(desk.grade(questions[1], "I do not know").answer, std::nullopt);
}

TEST_F(QuestionFile, Amc) {
  const auto questions = read(R"({"problem": "How many?", "answer": 27.0, "url": "x"})");
  EXPECT_EQ(questions[0].expected, "27");
  EXPECT_EQ(questions[0].grader, Grader::number);
  EXPECT_EQ(questions[0].id, "set-1");
}

TEST_F(QuestionFile, Gsm8k) {
  const auto questions =
      read(R"({"question": "How much?", "answer": "She has 3 * 6 = <<3*6=18>>18.\n#### 1,018"})");
  EXPECT_EQ(questions[0].expected, "1,018");
  EXPECT_TRUE(GradingDesk(questions, "").grade(questions[0], "It costs $1018.00").correct);
}

TEST_F(QuestionFile, Math500IsLatexIfOneAnswerIsNoNumber) {
  const std::string lines =
      R"({"problem": "a", "solution": "s", "answer": "3", "unique_id": "test/1.json"})"
      "\n"
      R"({"problem": "b", "solution": "s", "answer": "\\frac{1}{2}", "unique_id": "test/2.json"})";
  const auto questions = read(lines);
  EXPECT_EQ(questions[0].grader, Grader::latex);
  EXPECT_EQ(questions[1].id, "test/2.json");
  EXPECT_EQ(read(lines, "set.jsonl", Grader::number)[1].grader, Grader::number);
}

TEST_F(QuestionFile, TheSolutionMayHoldTheAnswer) {
  const auto questions = read(R"({"problem": "a", "solution": "thus \\boxed{\\sqrt{2}}."})");
  EXPECT_EQ(questions[0].expected, "\\sqrt{2}");
}

TEST_F(QuestionFile, GpqaChoicesAreShuffledTheSameWayEachTime) {
  std::string lines;
  for (int i = 0; i < 8; ++i) {
    lines += R"({"Record ID": "r)" + std::to_string(i) + R"(", "Question": "Which )" +
             std::to_string(i) +
             R"(?", "Correct Answer": "right", "Incorrect Answer 1": "w1",)"
             R"( "Incorrect Answer 2": "w2", "Incorrect Answer 3": "w3"})"
             "\n";
  }
  const auto questions = read(lines);
  EXPECT_EQ(questions[0].grader, Grader::choice);
  std::string letters;
  for (const Question &question : questions) {
    EXPECT_THAT(question.text, HasSubstr("\n" + question.expected + ". right"));
    letters += question.expected;
  }
  EXPECT_NE(letters, "AAAAAAAA") << "the right one must not always come first";
  EXPECT_EQ(read(lines)[3].text, questions[3].text);
}

TEST_F(QuestionFile, ChoicesNamedByLetterOrNumber) {
  const auto by_letter = read(R"({"question": "q", "choices": ["x", "y", "z"], "answer": "B"})");
  EXPECT_THAT(by_letter[0].text, HasSubstr("\n" + by_letter[0].expected + ". y"));
  const auto by_number = read(R"({"question": "q", "choices": ["x", "y", "z"], "answer": 2})");
  EXPECT_THAT(by_number[0].text, HasSubstr("\n" + by_number[0].expected + ". z"));
}

TEST_F(QuestionFile, OneJsonArray) {
  EXPECT_EQ(read(R"([{"problem": "a", "answer": 1}, {"problem": "b", "answer": 2}])").size(), 2U);
}

TEST_F(QuestionFile, OurOwnProblems) {
  const auto questions = read(
      R"({"id":"graph-1k-test-1","task":"graph","tier":"1k","seed":"1","question":"Q","answer":"10"})");
  EXPECT_EQ(questions[0].grader, Grader::reasoner);
  EXPECT_EQ(questions[0].tier, "1k");
  EXPECT_EQ(questions[0].text, "Q");
  EXPECT_GT(questions[0].limit, 1100);
  EXPECT_TRUE(
      GradingDesk(questions, "").grade(questions[0], "<think>x</think>\\boxed{10}").correct);
}

TEST_F(QuestionFile, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(error_of("{\"problem\": \"a\"}"), HasSubstr("line 1: there is no answer"));
  EXPECT_THAT(error_of("{\"answer\": 1}"), HasSubstr("there is no question"));
  EXPECT_THAT(error_of("{\"problem\": \"a\", \"answer\": 1}\nnonsense"), HasSubstr("line 2"));
  EXPECT_THAT(error_of("{\"problem\": \"a\", \"answer\": [1]}"), HasSubstr("neither a text"));
  EXPECT_THAT(error_of(R"({"question": "q", "choices": ["x", "y"], "answer": "C"})"),
              HasSubstr("none of the 2 choices"));
  EXPECT_THAT(error_of(""), HasSubstr("holds no questions"));
  EXPECT_THAT(error_of(R"([{"id":1,"problem":"a","answer":1},{"id":1,"problem":"b","answer":2}])"),
              HasSubstr("two questions have the id \"1\""));
  EXPECT_THROW(read_questions(folder_ / "missing.jsonl", {}), Error);
}

TEST(MadeQuestions, AreThePublicSet) {
  const TaskSelection selection{
      .tasks = {"graph"}, .tiers = {"1k"}, .split = "test", .count = 2, .seed = 2606};
  const auto questions = make_questions(selection);
  ASSERT_EQ(questions.size(), 2U);
  EXPECT_EQ(questions[0].id, "graph-1k-test-4cedf48403b92d4f");  // as eval/problems has it
  EXPECT_EQ(questions[0].expected, "10");
  EXPECT_THROW(make_questions({.tasks = {"chess"}}), Error);
  EXPECT_THROW(make_questions({.tiers = {"3k"}}), Error);
  EXPECT_THROW(make_questions({.split = "validation"}), Error);
}

TEST(SelectedQuestions, KeepsWhatWasAskedFor) {
  std::vector<Question> questions(5);
  for (std::size_t i = 0; i < 5; ++i) questions[i].task = i < 3 ? "a" : "b";
  questions[4].tier = "8k";
  TaskSelection selection{.tasks = {"all"}, .tiers = {"2k"}, .split = "", .count = 2};
  EXPECT_EQ(select(questions, selection).size(), 3U);  // two of a, b without a tier
  selection.tasks = {"b"};
  EXPECT_EQ(select(questions, selection).size(), 1U);
  selection.tasks = {"c"};
  EXPECT_THROW(select(questions, selection), Error);
}

}  // namespace
}  // namespace vase::eval
