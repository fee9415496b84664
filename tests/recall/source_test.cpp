#include "recall/source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vase::recall {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string joined(const std::vector<std::string> &sentences) {
  std::string all;
  for (const std::string &sentence : sentences) all += sentence;
  return all;
}

TEST(Sentences, EndWithAStopALineOrWhatCloses) {
  EXPECT_THAT(sentences_of("One. Two! \"Three?\" Four\n\nFive"),
              ElementsAre("One.", " Two!", " \"Three?\"", " Four", "\n\nFive"));
  EXPECT_THAT(sentences_of("3.14 is a number.\nso \u201cthey say.\u201d Yes"),
              ElementsAre("3.14 is a number.", "\nso \u201cthey say.\u201d", " Yes"));
}

TEST(Sentences, OfNothingAreNone) {
  EXPECT_THAT(sentences_of(""), IsEmpty());
  EXPECT_THAT(sentences_of(" \n\n "), IsEmpty());
}

TEST(Sentences, LongOnesAreCutAtASpace) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "word ";
  const std::vector<std::string> sentences = sentences_of(text + "end");
  EXPECT_GT(sentences.size(), 5U);
  for (const std::string &sentence : sentences) EXPECT_LT(sentence.size(), 420U);
  EXPECT_EQ(joined(sentences), text + "end");
  EXPECT_EQ(sentences_of(std::string(5000, 'x')).size(), 1U) << "there is no space to cut at";
}

}  // namespace
}  // namespace vase::recall
