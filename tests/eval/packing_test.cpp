#include "eval/packing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "eval/answer.hpp"
#include "eval/look_back.hpp"
#include "vase/llama.hpp"

namespace vase::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::vector<Question> questions(int count, const std::string &task = "sums") {
  const std::vector<std::string> names = {"Tom", "Mira", "Oleg", "Jane", "Luis", "Anna"};
  std::vector<Question> all;
  for (int i = 0; i < count; ++i) {
    const std::string n = std::to_string(i);
    Question question;
    question.id = task + "-" + n;
    question.task = task;
    question.text = "A shop opens, and then " + names[static_cast<std::size_t>(i) % names.size()] +
                    " buys " + std::to_string(40 + i) + " pears there. How many pears?";
    question.expected = std::to_string(40 + i);
    question.grader = Grader::number;
    all.push_back(question);
  }
  return all;
}

TEST(Pack, PutsQuestionsIntoOnePromptInOrder) {
  const std::vector<Question> packs = pack(questions(10), {.size = 4, .count = 8, .seed = 1});
  ASSERT_THAT(packs, SizeIs(2)) << "ten questions are two whole packs";
  std::set<std::string> ids;
  for (const Question &one : packs) {
    EXPECT_EQ(one.tier, "pack4");
    ASSERT_THAT(one.packed, SizeIs(4));
    EXPECT_THAT(items_of(one), SizeIs(4));
    std::size_t at = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::string asked = "Question " + std::to_string(i + 1) + ". " + one.packed[i].text;
      at = one.text.find(asked, at);
      EXPECT_NE(at, std::string::npos) << asked;
      EXPECT_TRUE(ids.insert(one.packed[i].id).second) << "drawn without replacement";
    }
  }
  EXPECT_NE(packs[0].id, packs[1].id);
}

TEST(Pack, TheSeedDecidesAndTooFewQuestionsAreRefused) {
  const auto texts = [](std::uint64_t seed) {
    return pack(questions(12), {.size = 3, .count = 2, .seed = seed}).at(0).text;
  };
  EXPECT_EQ(texts(1), texts(1));
  EXPECT_NE(texts(1), texts(2));
  EXPECT_THROW(pack(questions(3), {.size = 4, .count = 1}), Error);
}

TEST(Turns, AskOneQuestionEachAndThenLookBackAtTheFirstHalf) {
  const auto conversations = take_in_turns(questions(16), {.size = 8, .count = 2, .seed = 3});
  ASSERT_THAT(conversations, SizeIs(2));
  for (const Question &conversation : conversations) {
    EXPECT_EQ(conversation.tier, "turns8");
    ASSERT_THAT(conversation.turns, SizeIs(8 + 6));
    for (std::size_t i = 0; i < 8; ++i) {
      EXPECT_THAT(conversation.turns[i].text, StartsWith("Question " + std::to_string(i + 1)));
      EXPECT_THAT(conversation.turns[i].text, HasSubstr("\\boxed{}"));
      EXPECT_EQ(conversation.turns[i].kind, "");
      EXPECT_EQ(conversation.turns[i].limit, 512);
    }
    std::map<std::string, int> kinds;
    std::set<std::string> ids;
    for (std::size_t i = 8; i < conversation.turns.size(); ++i) {
      const Question &back = conversation.turns[i];
      ++kinds[back.kind];
      EXPECT_TRUE(ids.insert(back.id).second);
      EXPECT_LT(back.limit, 128);
      if (back.kind == "result") {
        EXPECT_LT(back.repeats, 4) << "the first half";
        continue;
      }
      // What stood in the gap is what is asked for, and the quoted sentence does not say it.
      EXPECT_THAT(back.text, HasSubstr("____"));
      EXPECT_THAT(back.text, Not(HasSubstr(back.expected)));
      EXPECT_EQ(back.grader, back.kind == "number" ? Grader::number : Grader::text);
    }
    EXPECT_EQ(kinds["result"], 2);
    EXPECT_EQ(kinds["number"], 2);
    EXPECT_EQ(kinds["name"], 2);
  }
}

TEST(LookBacks, LeaveOutWhatAQuestionDoesNotHave) {
  Question conversation;
  conversation.id = "c";
  conversation.turns = questions(2);
  const std::vector<Question> found =
      look_backs(conversation, {"how many legs has a dog?", "and a cat?"}, 1);
  ASSERT_THAT(found, SizeIs(1)) << "no number, no name";
  EXPECT_EQ(found[0].kind, "result");
}

TEST(LookBacks, AskForTheLetterOfAChoice) {
  Question conversation;
  conversation.id = "c";
  conversation.turns = questions(2);
  for (const bool choice : {false, true}) {
    for (Question &turn : conversation.turns) {
      turn.grader = choice ? Grader::choice : Grader::number;
    }
    const std::vector<Question> found = look_backs(conversation, {"which leg?", "and a cat?"}, 1);
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_EQ(found[0].text.find("letter") != std::string::npos, choice);
    EXPECT_EQ(found[0].grader, conversation.turns[0].grader);
  }
}

TEST(Parts, AreSectionsBelowTheirNumbers) {
  const std::string reply =
      "Question 1. Tom has\n1. three\n2. four: \\boxed{7}\n\n### Question 2\nTwice, \\boxed{8} or "
      "rather \\boxed{9}.\n\n**Question 3:** nothing\n";
  const std::vector<std::string> parts = parts_of(reply, 4);
  ASSERT_THAT(parts, SizeIs(4));
  EXPECT_EQ(last_boxed(parts[1]), "9");
  EXPECT_EQ(last_boxed(parts[2]), std::nullopt);
  EXPECT_EQ(parts[3], "");
}

TEST(Parts, AreBoxesInTheirOrderIfNothingIsNumbered) {
  EXPECT_THAT(parts_of("so \\boxed{5}. Then \\boxed{6}.", 3),
              ElementsAre("\\boxed{5}", "\\boxed{6}", ""));
  EXPECT_THAT(parts_of("<think>\\boxed{1}", 1), ElementsAre("")) << "an open thought";
  EXPECT_THAT(parts_of("", 2), ElementsAre("", ""));
}

TEST(Parts, TakeLinearTime) {
  std::string reply;
  for (int i = 0; i < 100000; ++i) reply += "1. \\boxed{1}\n";
  EXPECT_THAT(parts_of(reply, 8), SizeIs(8));
}

}  // namespace
}  // namespace vase::eval
