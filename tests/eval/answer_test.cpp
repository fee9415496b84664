#include "eval/answer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <initializer_list>
#include <string>
#include <utility>

#include "engine/thought_marks.hpp"
#include "eval/thought.hpp"

namespace vase::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string many(std::string_view piece, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += piece;
  return text;
}

TEST(Answer, ThinkingIsNotTheAnswer) {
  EXPECT_EQ(after_thinking("<think>\\boxed{1}</think> so \\boxed{2}"), " so \\boxed{2}");
  EXPECT_EQ(after_thinking("no marks"), "no marks");
}

// A model that loops in its thoughts must not be right because of the last number there.
TEST(Answer, AThoughtThatIsNeverClosedHoldsNone) {
  for (const auto &[open, close] : std::initializer_list<std::pair<std::string, std::string>>{
           {"<think>", "</think>"},
           {"<thinking>", "</thinking>"},
           {"<thought>", "</thought>"},
           {"<reasoning>", "</reasoning>"},
           {"<|begin_of_thought|>", "<|end_of_thought|>"},
           {"<|START_THINKING|>", "<|END_THINKING|>"},
           {"<|channel|>analysis<|message|>",
            "<|end|><|start|>assistant<|channel|>final<|message|>"},
           {"[THINK]", "[/THINK]"},
           {"<seed:think>", "</seed:think>"},
           {"\u25c1think\u25b7", "\u25c1/think\u25b7"}}) {
    const std::string thought = open + "\nso it is \\boxed{7}. The answer is 7";
    EXPECT_EQ(after_thinking(thought), "") << open;
    EXPECT_EQ(number_in(thought), std::nullopt) << open;
    EXPECT_EQ(choice_in(thought), std::nullopt) << open;
    EXPECT_EQ(number_in(thought + close + "It is 8."), "8") << open;
    EXPECT_EQ(number_in(thought + close + "It is 8. " + open + "or 9"), std::nullopt) << open;
    const std::string prompt = "<|user|>What?<|assistant|>" + open + "\n";
    const engine::ThoughtMarks *opened = engine::thought_opened_by(prompt);
    ASSERT_NE(opened, nullptr) << open;
    const std::string reply = std::string(opened->open) + "it is 7";
    EXPECT_EQ(number_in(reply), std::nullopt) << open;
    EXPECT_EQ(number_in(reply + close + "8"), "8") << open;
  }
  EXPECT_EQ(engine::thought_opened_by("What is <think>? <|assistant|>\n"), nullptr);
  EXPECT_EQ(engine::thought_opened_by("<|assistant|>\n<think>\n\n</think>\n\n"), nullptr);
  EXPECT_EQ(number_in("I never think: 7"), "7");
}

TEST(Answer, BoxesMayHoldBraces) {
  EXPECT_EQ(last_boxed("first \\boxed{1}, then \\boxed{\\frac{1}{2} }."), "\\frac{1}{2}");
  EXPECT_EQ(last_boxed("\\fbox{7}"), "7");
  EXPECT_EQ(last_boxed("never closed: \\boxed{1"), std::nullopt);
  EXPECT_EQ(last_boxed("none"), std::nullopt);
}

TEST(Answer, AllBoxesInTheirOrder) {
  EXPECT_THAT(all_boxed("\\boxed{1}, then \\fbox{ \\frac{1}{2} } and \\boxed{\\{3, 4\\}}"),
              ElementsAre("1", "\\frac{1}{2}", "\\{3, 4\\}"));
  EXPECT_THAT(all_boxed("\\boxed{a \\boxed{5}} \\boxed{{6}"), ElementsAre("5"));
  EXPECT_THAT(all_boxed("\\boxed 7, } \\boxed{}"), ElementsAre(""));
  EXPECT_THAT(all_boxed("none"), IsEmpty());
}

// What a model that loops writes: it must neither end the process nor stop the run.
TEST(Answer, LongRunsTakeLinearTime) {
  constexpr std::size_t kMany = 100'000;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(number_in("It is 1" + many("0", kMany)), "1" + many("0", kMany));
  for (const char *piece :
       {"0",   "1,000",      "-",           ".",           ",",          "$",
        "\\,", "{",          "}",           "\\boxed{",    "\\boxed{1}", "\\boxed{{",
        " ",   "answer is ", "answer is (", "<answer>",    "</answer>",  "</think>",
        "(",   "A",          "\\",          "\xe2\x88\x92"}) {
    const std::string text = many(piece, kMany);
    for (const std::string &reply : {text, "\\boxed{" + text + "}", "The answer is " + text}) {
      number_in(reply);
      choice_in(reply);
      parse_number(reply);
      all_boxed(reply);
    }
  }
  EXPECT_EQ(all_boxed(many("\\boxed{", kMany) + "1" + many("}", kMany)).size(), 1U);
  // Seconds in a debug build on a busy machine; what is quadratic takes hours.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(2));
}

TEST(Answer, OneNumberHasOneForm) {
  EXPECT_EQ(parse_number("$1,024.50"), "1024.5");
  EXPECT_EQ(parse_number("007"), "7");
  EXPECT_EQ(parse_number("-0.0"), "0");
  EXPECT_EQ(parse_number("50\\%"), "50");
  EXPECT_EQ(parse_number(".5"), "0.5");
  EXPECT_EQ(parse_number("12\\text{ cm}"), "12");
  EXPECT_EQ(parse_number("27."), "27");
  EXPECT_EQ(parse_number("\\frac{1}{2}"), std::nullopt);
  EXPECT_EQ(parse_number("1.2.3"), std::nullopt);
  EXPECT_EQ(parse_number("x"), std::nullopt);
  EXPECT_EQ(parse_number(""), std::nullopt);
}

TEST(Answer, TheBoxStandsAboveTheLastNumber) {
  EXPECT_EQ(number_in("so \\boxed{42}, found on page 7"), "42");
  EXPECT_EQ(number_in("5 + 1,000 makes 1,005 dollars."), "1005");
  EXPECT_EQ(number_in("no number"), std::nullopt);
  EXPECT_EQ(number_in("<think>12</think>it is -3"), "-3");
  EXPECT_EQ(number_in("\\boxed{x} and 3"), std::nullopt);
  EXPECT_EQ(number_in("10-3=7"), "7");
  EXPECT_EQ(number_in("pages 5-10"), "10");
  EXPECT_EQ(number_in("it is \xe2\x88\x92"
                      "4"),
            "-4");
  EXPECT_EQ(number_in("the pair is (1,2)"), "2");
}

TEST(Answer, ABoxMaySayMoreThanTheNumber) {
  EXPECT_EQ(number_in("\\boxed{18 dollars}"), "18");
  EXPECT_EQ(number_in("\\boxed{x = -1,800.5}"), "-1800.5");
  EXPECT_EQ(number_in("\\boxed{60 \\text{ km/h}}"), "60");
  EXPECT_EQ(number_in("\\boxed{5x}"), std::nullopt);
  EXPECT_EQ(number_in("\\boxed{3/4}"), std::nullopt);
  EXPECT_EQ(number_in("\\boxed{between 3 and 4}"), std::nullopt);
  EXPECT_EQ(number_in("<ANSWER> 12 </ANSWER>, of 30"), "12");
}

TEST(Answer, ChoicesAreLetters) {
  EXPECT_EQ(choice_in("\\boxed{C}"), "C");
  EXPECT_EQ(choice_in("\\boxed{\\text{(b)}}"), "B");
  EXPECT_EQ(choice_in("The answer is (D)."), "D");
  EXPECT_EQ(choice_in("Answer: **A**, as I said"), "A");
  EXPECT_EQ(choice_in("\\boxed{AB}"), std::nullopt);
  EXPECT_EQ(choice_in("A good question"), std::nullopt);
  EXPECT_EQ(choice_in("\\boxed{C. Paris}"), "C");
  EXPECT_EQ(choice_in("The answer is: **(E)**"), "E");
  EXPECT_EQ(choice_in("The answer is a matter of taste"), std::nullopt);
  EXPECT_EQ(choice_in("so <answer>4</answer>"), "4");
  EXPECT_EQ(choice_in("the answer is 12"), std::nullopt);
  EXPECT_EQ(choice_in("(B)."), "B");
}

}  // namespace
}  // namespace vase::eval
