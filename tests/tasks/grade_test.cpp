#include "tasks/grade.hpp"

#include <gtest/gtest.h>

namespace vase::tasks {
namespace {

TEST(FinalAnswer, IsTheLastBoxAfterThinking) {
  EXPECT_EQ(final_answer("<think>\nx\n</think>\n\nThe answer is \\boxed{42}."), "42");
  EXPECT_EQ(final_answer("</think>\\boxed{1} no, \\boxed{ Anna }"), "Anna");
}

TEST(FinalAnswer, IsMissingWithoutEndOfThinkingOrBox) {
  EXPECT_EQ(final_answer("<think> \\boxed{42}"), std::nullopt);
  EXPECT_EQ(final_answer("<think> \\boxed{42} </think> 42"), std::nullopt);
  EXPECT_EQ(final_answer("</think> \\boxed{42"), std::nullopt);
  EXPECT_EQ(final_answer("<think>a</think> <think> \\boxed{42}"), std::nullopt);
  EXPECT_EQ(final_answer("</think> \\boxed{ }"), std::nullopt);
  EXPECT_EQ(final_answer(""), std::nullopt);
}

TEST(Grade, ComparesTheWholeAnswer) {
  EXPECT_TRUE(is_correct("</think>\\boxed{42}", "42"));
  EXPECT_FALSE(is_correct("</think>\\boxed{42}", "4"));
  EXPECT_FALSE(is_correct("42", "42"));
}

}  // namespace
}  // namespace vase::tasks
