#include "server/reasoning.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace vase::server {
namespace {

using Start = ReasoningSplitter::Start;

// The text in pieces of `size` bytes.
SplitText split(std::string_view text, std::size_t size, ReasoningSplitter splitter) {
  SplitText all;
  const auto add = [&](const SplitText &part) {
    all.reasoning += part.reasoning;
    all.content += part.content;
  };
  for (std::size_t at = 0; at < text.size(); at += size) add(splitter.push(text.substr(at, size)));
  add(splitter.finish());
  return all;
}

class AnyCut : public testing::TestWithParam<std::size_t> {
 protected:
  void expect(std::string_view text, std::string_view reasoning, std::string_view content,
              ReasoningSplitter splitter = ReasoningSplitter(Start::answer)) const {
    const SplitText got = split(text, GetParam(), std::move(splitter));
    EXPECT_EQ(got.reasoning, reasoning) << text;
    EXPECT_EQ(got.content, content) << text;
  }
};
INSTANTIATE_TEST_SUITE_P(, AnyCut, testing::Values(1, 2, 3, 5, 100));

TEST_P(AnyCut, SplitsWhatTheModelThinksFromWhatItSays) {
  expect("<think>why</think>because", "why", "because");
  expect("\n <think>\nwhy\n</think>\n\nbecause", "why\n", "because");
  expect("<think></think>x", "", "x");
  expect("<think>a < b </thin </think>x", "a < b </thin ", "x");
}

TEST_P(AnyCut, LeavesAnAnswerWithoutThinkingAlone) {
  expect("because", "", "because");
  expect("  because ", "", "  because ");
  expect("<thinly>", "", "<thinly>");
  expect("<thi", "", "<thi");
  expect("so <think>x</think>", "", "so <think>x</think>");
  expect("", "", "");
}

TEST_P(AnyCut, KeepsThinkingThatIsNeverClosed) {
  expect("<think>and on</thi", "and on</thi", "");
  expect("<think>", "", "");
}

TEST_P(AnyCut, BeginsInsideIfThePromptHasOpenedIt) {
  const ReasoningSplitter opened(*engine::thought_opened_by("assistant\n<think>\n"));
  expect("why</think>because", "why", "because", opened);
  expect("why", "why", "", opened);
}

TEST_P(AnyCut, KnowsTheMarksOfOtherModels) {
  expect("[THINK]why[/THINK]because", "why", "because");
  expect("<|channel>thought\nwhy<channel|>because", "why", "because");
  expect("<mm:think>a</think>b</mm:think>c", "a</think>b", "c");
  const ReasoningSplitter opened(*engine::thought_opened_by("<|open|>think<|sep|>"));
  expect("why<|close|>think<|sep|>because", "why", "because", opened);
}

TEST_P(AnyCut, TouchesNothingIfAskedTo) {
  expect("<think>why</think>because", "", "<think>why</think>because",
         ReasoningSplitter(Start::plain));
}

TEST(ReasoningSplitter, KnowsWhetherItIsInside) {
  ReasoningSplitter splitter(Start::answer);
  EXPECT_FALSE(splitter.reasoning());
  splitter.push("<think>a");
  EXPECT_TRUE(splitter.reasoning());
  EXPECT_EQ(splitter.push("b</think>c").content, "c");
  EXPECT_FALSE(splitter.reasoning());
}

}  // namespace
}  // namespace vase::server
