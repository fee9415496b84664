#include "engine/thought_marks.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "loaded_text_model.hpp"

namespace vase::engine::test {
namespace {

TEST(ThoughtMarksTest, APromptOpensAThoughtWithItsLastMark) {
  ASSERT_NE(thought_opened_by("Why?<think>\n\n"), nullptr);
  EXPECT_EQ(thought_opened_by("Why?<think>\n\n")->close, "</think>");
  EXPECT_EQ(thought_opened_by("<|channel|>analysis<|message|>")->open, "<|channel|>analysis");
  EXPECT_EQ(thought_opened_by("<think>Why?"), nullptr);
  EXPECT_EQ(thought_opened_by(""), nullptr);
}

// The model's tokens are single characters.
TEST(ThoughtMarksTest, TheOpeningMarkOfAReplyIsCountedWithTheSpaceAroundIt) {
  const std::unique_ptr<Model> model = loaded_text_model();
  const auto tokens = [&](std::string_view reply) {
    return tokens_of_opening_mark(model->vocab(), model->tokenize(reply, false));
  };
  EXPECT_EQ(tokens("<think>"), 7u);
  EXPECT_EQ(tokens("<think>\n\nWell, <think> is a mark."), 9u);
  EXPECT_EQ(tokens(" \n[THINK]a"), 9u);
  EXPECT_EQ(tokens("<thinking>a"), 10u) << "and not its beginning, which is no mark";
  EXPECT_EQ(tokens("<think"), 0u);
  EXPECT_EQ(tokens("Well, <think>"), 0u);
  EXPECT_EQ(tokens("</think>"), 0u);
  EXPECT_EQ(tokens(""), 0u);
  EXPECT_EQ(tokens("<think>" + std::string(100, '\n')), kTokensOfMark);
  EXPECT_EQ(tokens(std::string(30, ' ') + "<think>"), 0u);
}

}  // namespace
}  // namespace vase::engine::test
