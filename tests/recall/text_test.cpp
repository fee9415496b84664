#include "recall/text.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "text_fixture.hpp"

namespace vase::recall {
namespace {

using ::testing::HasSubstr;

class TextTest : public test::WithModel {
 protected:
  static std::vector<Text> texts(const Deal &deal, std::int64_t length = 1400) {
    return make_texts(length, deal, sources(), prompt(), *model_);
  }
};

TEST_F(TextTest, FactsStandAtTheirPlaces) {
  const Deal all = deal({"needle", "values", "join", "decoys"});
  for (const Text &text : texts(all)) {
    const std::string plain_text = plain(text.tokens);
    EXPECT_LE(std::ssize(text.tokens), 1400);
    EXPECT_GT(std::ssize(text.tokens), 1300) << "all but less than a sentence";
    const auto begin = static_cast<double>(text.opening);
    const double size = static_cast<double>(text.tokens.size()) - begin;
    for (const Item &item : text.items) {
      for (const Fact &fact : item.facts) {
        const std::size_t at = plain_text.find(" " + fact.sentence);
        ASSERT_NE(at, plain_text.npos) << fact.sentence;
        // Facts before it move it, by at most what they are.
        EXPECT_NEAR((static_cast<double>(at) - begin) / size, fact.place, 0.2);
      }
    }
  }
}

TEST_F(TextTest, WithoutItsFactsATextIsItsSource) {
  const Text text = texts(deal({"needle", "join"})).front();
  std::string plain_text = plain(text.tokens).substr(text.opening);
  for (const Item &item : text.items) {
    for (const Fact &fact : item.facts) {
      const std::string sentence = " " + fact.sentence;
      plain_text.erase(plain_text.find(sentence), sentence.size());
    }
  }
  plain_text += plain(text.after);
  EXPECT_THAT(test::story(), HasSubstr(plain_text));
  EXPECT_LE(text.after.size(), 100U);
  EXPECT_GT(text.after.size(), 60U);
}

TEST_F(TextTest, EachCategoryAndDepthIsThereAsOftenAsAsked) {
  const std::vector<Text> made = texts(deal({"needle", "values", "tracking", "common"}, 3));
  std::map<std::string, int> counts;
  for (const Text &text : made) {
    std::map<std::string, int> here;
    for (const Item &item : text.items) {
      EXPECT_EQ(++here[item.id], 1) << "twice in one text";
      ++counts[item.id];
      EXPECT_EQ(item.depth.has_value(), item.category != "common");
    }
  }
  EXPECT_EQ(counts.size(), 8U);
  for (const auto &[id, count] : counts) EXPECT_EQ(count, 3) << id;
  for (std::size_t i = 0; i < made.size(); ++i) EXPECT_EQ(made[i].index, static_cast<int>(i));
}

TEST_F(TextTest, FactsAreAnEighthAtMostOrOneItem) {
  for (const Text &text : texts(deal({"needle", "values", "common"}, 2))) {
    std::int64_t tokens = 0;
    for (const Item &item : text.items) tokens += fact_tokens(item, *model_);
    EXPECT_TRUE(text.items.size() == 1 || tokens <= 1400 / 8) << tokens;
  }
}

TEST_F(TextTest, DependsOnTheSeedAlone) {
  Deal one = deal({"needle", "values"}, 2);
  const std::vector<Text> first = texts(one), again = texts(one);
  one.seed = 2;
  const std::vector<Text> other = texts(one);
  ASSERT_EQ(first.size(), again.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].tokens, again[i].tokens);
    EXPECT_EQ(first[i].after, again[i].after);
    EXPECT_NE(first[i].tokens, other[i].tokens);
  }
}

TEST_F(TextTest, SaysWhatIsTooShort) {
  const auto error_of = [](std::int64_t length, const std::string &category) -> std::string {
    try {
      texts(deal({category}), length);
    } catch (const Error &error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(error_of(20000, "needle"), HasSubstr("story has "));
  EXPECT_THAT(error_of(20000, "needle"), HasSubstr("smaller --lengths or --after"));
  EXPECT_THAT(error_of(400, "common"), HasSubstr("--lengths 400: what is planted there fills it"));
}

TEST_F(TextTest, TheQuestionStandsBehindTheTextInTheUsersTurn) {
  const Prompt chat = prompt();
  EXPECT_THAT(plain(chat.opening()), HasSubstr("<|im_start|>user\nSome facts"));
  EXPECT_EQ(plain(chat.question("Who?")), "\n\nQuestion: Who?<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_TRUE(chat.stop().empty());
  const Prompt completing(*model_, std::nullopt, "");
  EXPECT_EQ(plain(completing.question("Who?")), "\n\nQuestion: Who?\nAnswer:");
  EXPECT_EQ(completing.stop(), std::vector<std::string>{"\n"});
}

}  // namespace
}  // namespace vase::recall
