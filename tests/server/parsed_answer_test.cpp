#include "server/parsed_answer.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "server/reasoning.hpp"

namespace vase::server {
namespace {

// Reads all anew each time, as llama.cpp's parsers do.
class CountingParser final : public engine::AnswerParser {
 public:
  engine::SplitText parse(const std::string &answer, bool whole) const override {
    ++calls;
    if (answer.find('\x01') != answer.npos) throw std::runtime_error("unexpected");
    ReasoningSplitter splitter(ReasoningSplitter::Start::answer);
    engine::SplitText text = splitter.push(answer);
    if (!whole) return text;
    const engine::SplitText rest = splitter.finish();
    return {text.reasoning + rest.reasoning, text.content + rest.content};
  }
  mutable int calls = 0;
};

struct Streamed {
  engine::SplitText text;
  int calls = 0;
};

Streamed stream(const std::string &answer, std::size_t size) {
  const auto parser = std::make_shared<CountingParser>();
  ParsedAnswer split(parser, false);
  Streamed all;
  const auto add = [&](const engine::SplitText &piece) {
    all.text.reasoning += piece.reasoning;
    all.text.content += piece.content;
  };
  for (std::size_t at = 0; at < answer.size(); at += size)
    add(split.push(std::string_view(answer).substr(at, size)));
  add(split.finish());
  all.calls = parser->calls;
  return all;
}

TEST(ParsedAnswer, SaysWhatTheParserReadsHoweverItIsCut) {
  for (const char *answer :
       {"<think>why, then</think>because of it", "because", "", "<think>never </thin", "a <b> c",
        "<think></think>x", "<think>a</think>\n\nb\n"}) {
    const engine::SplitText expected = CountingParser().parse(answer, true);
    for (const std::size_t size : {1U, 2U, 3U, 7U, 100U}) {
      const Streamed got = stream(answer, size);
      EXPECT_EQ(got.text.reasoning, expected.reasoning) << answer << " by " << size;
      EXPECT_EQ(got.text.content, expected.content) << answer << " by " << size;
    }
  }
}

TEST(ParsedAnswer, AsksTheParserWhereAMarkMayBe) {
  std::string answer = "<think>";
  for (int i = 0; i < 100; ++i) answer += " word";
  const int calls = stream(answer, 5).calls;
  EXPECT_LT(calls, 10);
  EXPECT_GT(stream(answer + "!" + answer, 5).calls, calls);
}

TEST(ParsedAnswer, KeepsWhatCannotBeRead) {
  for (const std::size_t size : {1U, 3U, 100U}) {
    const Streamed got = stream("<think>so</think>yes\x01no", size);
    EXPECT_EQ(got.text.content, size == 100 ? "<think>so</think>yes\x01no" : "yes\x01no") << size;
  }
}

TEST(ParsedAnswer, KnowsWhetherItIsInside) {
  ParsedAnswer split(std::make_shared<CountingParser>(), false);
  EXPECT_FALSE(split.reasoning());
  split.push("<think>a");
  EXPECT_TRUE(split.reasoning());
  split.push("</think>b");
  EXPECT_FALSE(split.reasoning());
  EXPECT_TRUE(ParsedAnswer(std::make_shared<CountingParser>(), true).reasoning());
}

}  // namespace
}  // namespace vase::server
