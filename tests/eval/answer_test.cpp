#include "eval/answer.hpp"

#include <gtest/gtest.h>

namespace vase::eval {
namespace {

TEST(Answer, ThinkingIsNotTheAnswer) {
  EXPECT_EQ(after_thinking("<think>\\boxed{1}</think> so \\boxed{2}"), " so \\boxed{2}");
  EXPECT_EQ(after_thinking("no marks"), "no marks");
}

TEST(Answer, BoxesMayHoldBraces) {
  EXPECT_EQ(last_boxed("first \\boxed{1}, then \\boxed{\\frac{1}{2} }."), "\\frac{1}{2}");
  EXPECT_EQ(last_boxed("\\fbox{7}"), "7");
  EXPECT_EQ(last_boxed("never closed: \\boxed{1"), std::nullopt);
  EXPECT_EQ(last_boxed("none"), std::nullopt);
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
}

TEST(Answer, ChoicesAreLetters) {
  EXPECT_EQ(choice_in("\\boxed{C}"), "C");
  EXPECT_EQ(choice_in("\\boxed{\\text{(b)}}"), "B");
  EXPECT_EQ(choice_in("The answer is (D)."), "D");
  EXPECT_EQ(choice_in("Answer: **A**, as I said"), "A");
  EXPECT_EQ(choice_in("\\boxed{AB}"), std::nullopt);
  EXPECT_EQ(choice_in("A good question"), std::nullopt);
}

}  // namespace
}  // namespace vase::eval
