// What is asked must follow from what is planted, for every category, depth and seed.
#include "recall/category.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "recall/grade.hpp"
#include "vase/llama.hpp"

namespace vase::recall {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

using Strings = std::vector<std::string>;

// The facts in the order of the text, as one text.
std::string text_of(Item item) {
  std::ranges::stable_sort(item.facts, {}, &Fact::place);
  std::string text;
  for (const Fact &fact : item.facts) text += fact.sentence + "\n";
  return text;
}

// All that the first group of `pattern` matches, in the order of the text.
Strings matches(const std::string &text, const std::string &pattern) {
  const std::regex regex(pattern);
  Strings found;
  for (std::sregex_iterator i(text.begin(), text.end(), regex), end; i != end; ++i)
    found.push_back((*i)[1]);
  return found;
}

std::string match(const std::string &text, const std::string &pattern) {
  const Strings found = matches(text, pattern);
  EXPECT_EQ(found.size(), 1U) << pattern << " in " << text;
  return found.empty() ? "" : found[0];
}

// The words that were said most often, the most frequent first.
Strings most_frequent(const Strings &words, std::size_t count) {
  std::map<std::string, int> counts;
  for (const std::string &word : words) ++counts[word];
  Strings order;
  for (const auto &[word, n] : counts) order.push_back(word);
  std::ranges::stable_sort(order, std::greater{}, [&](const std::string &w) { return counts[w]; });
  EXPECT_GT(counts[order[count - 1]], counts[order[count]]) << "no tie at the border";
  order.resize(count);
  return order;
}

// Answers a question from the facts alone, by what the sentences say.
Strings solve(const Item &item) {
  const std::string text = text_of(item);
  const std::string &q = item.question;
  if (item.category == "needle") {
    const std::string town = match(q, "code of (\\w+)");
    return {match(text, "The secret code of " + town + " is (\\d+)")};
  }
  if (item.category == "paraphrase") return {match(text, "\\b(\\d{5})\\b")};
  if (item.category == "decoys") {
    const std::string person = match(q, "locker of (\\w+ \\w+)");
    return {match(text, "The locker of " + person + " has the number (\\d+)")};
  }
  if (item.category == "values") {
    const std::string person = match(q, "lucky numbers of (\\w+ \\w+)");
    return matches(text, "lucky numbers of " + person + " is (\\d+)");
  }
  if (item.category == "tracking") {
    Strings chain = {
        match(text, "The variable (\\w+) has the value " + match(q, "the value (\\d+)"))};
    for (;;) {
      const Strings next =
          matches(text, "The variable (\\w+) has the same value as the variable " + chain.back());
      if (next.empty()) return chain;
      chain.push_back(next[0]);
    }
  }
  if (item.category == "common") {
    const std::string town = match(q, "market of (\\w+)");
    return most_frequent(matches(text, "market of " + town + " somebody bought (\\w+)"), 2);
  }
  if (item.category == "frequent") {
    const std::string person = match(q, "did (\\w+ \\w+) cry");
    return most_frequent(matches(text, person + " cried: (\\w+)"), 1);
  }
  EXPECT_EQ(item.category, "join");
  const std::string person =
      match(text, "church of " + match(q, "church of (\\w+)") + " is kept by (\\w+ \\w+)");
  return {match(text, person + " lives in house number (\\d+)")};
}

Item make(const Category &category, Names &names, double depth, std::int64_t length = 4096) {
  Item item = category.make({.names = names, .depth = depth, .length = length});
  item.category = category.name;
  return item;
}

TEST(Category, AnswersFollowFromTheFacts) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Names names(seed);
    for (const Category &category : categories()) {
      for (const double depth : {0.0, 0.5, 0.9}) {
        const Item item = make(category, names, depth, seed % 2 == 0 ? 1024 : 65536);
        const Strings solved = solve(item);
        EXPECT_THAT(item.expected, UnorderedElementsAreArray(solved)) << text_of(item);
        std::string answer;
        for (const std::string &value : solved) answer += value + ", ";
        EXPECT_TRUE(grade(item, answer).right);
        for (const std::string &wrong : item.wrong) {
          EXPECT_THAT(text_of(item), HasSubstr(wrong))
              << "a decoy that is not there misleads nobody";
          EXPECT_FALSE(grade(item, answer + wrong).right);
        }
      }
    }
  }
}

TEST(Category, QuestionsDoNotHoldTheirAnswers) {
  Names names(7);
  for (const Category &category : categories()) {
    const Item item = make(category, names, 0.5);
    EXPECT_EQ(grade(item, item.question).fraction, 0) << item.question;
  }
}

TEST(Category, FactsStandFromTheDepthOn) {
  for (const Category &category : categories()) {
    Names names(3);
    const Item item = make(category, names, 0.5);
    for (const Fact &fact : item.facts) {
      EXPECT_GE(fact.place, 0);
      EXPECT_LE(fact.place, 1);
    }
    const std::string name = category.name;
    const bool decoys = name == "decoys" || name == "tracking";  // anywhere
    if (category.spread) continue;
    EXPECT_EQ(item.facts[0].place, 0.5);
    for (const Fact &fact : item.facts) EXPECT_TRUE(decoys || fact.place >= 0.5);
  }
}

TEST(Category, ATextHoldsNothingTwice) {
  Names names(11);
  std::set<std::string> facts, questions, numbers;
  for (const Category &category : categories()) {
    for (int i = 0; i < 9; ++i) {
      const Item item = make(category, names, 0.1 * i);
      EXPECT_TRUE(questions.insert(item.question).second) << item.question;
      if (category.spread) continue;
      for (const Fact &fact : item.facts)
        EXPECT_TRUE(facts.insert(fact.sentence).second) << fact.sentence;
      for (const std::string &value : item.expected) EXPECT_TRUE(numbers.insert(value).second);
      for (const std::string &value : item.wrong) EXPECT_TRUE(numbers.insert(value).second);
    }
  }
}

TEST(Category, TheSameSeedTheSameItem) {
  for (const Category &category : categories()) {
    Names one(5), two(5), other(6);
    const std::string text = text_of(make(category, one, 0.3));
    EXPECT_EQ(text_of(make(category, two, 0.3)), text);
    EXPECT_NE(text_of(make(category, other, 0.3)), text);
  }
}

TEST(Category, AnUnknownOneIsAnsweredWithTheList) {
  try {
    find_category("needles");
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("no category \"needles\"; there are: needle, paraphrase,"));
  }
}

TEST(Names, SayWhenThereAreNoMore) {
  Names names(1);
  const auto take_all = [&] {
    for (int i = 0; i < 1000; ++i) names.variable();
  };
  EXPECT_THROW(take_all(), Error);
}

}  // namespace
}  // namespace vase::recall
