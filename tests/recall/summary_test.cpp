#include "recall/summary.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace vase::recall {
namespace {

Record record(int text, const std::string &category, const std::string &policy, bool right) {
  return {.category = category,
          .depth = category == "common" ? std::nullopt : std::optional(0.5),
          .length = 4096,
          .text = text,
          .item = category + "@0.5",
          .policy = policy,
          .budget = policy == "full" ? "full" : "4x",
          .right = right,
          .fraction = right ? 1.0 : 0.5,
          .expected = {"1"},
          .answer = "1"};
}

// Ten texts with two answers each: full knows all, vase half of the needles, random nothing.
std::vector<Record> records() {
  std::vector<Record> all;
  for (int text = 0; text < 10; ++text) {
    for (const char *category : {"needle", "common"}) {
      all.push_back(record(text, category, "random", false));
      all.push_back(record(text, category, "full", true));
      all.push_back(record(text, category, "vase", *category == 'n' && text % 2 == 0));
    }
  }
  return all;
}

const Cell &cell(const Summary &summary, const std::string &policy, const std::string &category,
                 std::optional<double> depth = {}) {
  return *std::ranges::find_if(summary.cells, [&](const Cell &c) {
    return c.policy == policy && c.category == category && c.depth == depth;
  });
}

TEST(RecallSummary, CountsByCategoryAndDepth) {
  const Summary summary = summarise(records(), "vase");
  EXPECT_EQ(summary.cells.size(), 3U * 4) << "two categories, all, all at the one depth";
  EXPECT_EQ(cell(summary, "vase", "needle").right, 0.5);
  EXPECT_EQ(cell(summary, "vase", "needle").fraction, 0.75);
  EXPECT_EQ(cell(summary, "vase", "common").right, 0);
  EXPECT_EQ(cell(summary, "vase", "all").right, 0.25);
  EXPECT_EQ(cell(summary, "vase", "all").answers, 20);
  EXPECT_EQ(cell(summary, "vase", "all").texts, 10);
  EXPECT_EQ(cell(summary, "vase", "all", 0.5).answers, 10) << "what is spread has no depth";
  EXPECT_LT(cell(summary, "vase", "all").interval.low, 0.25);
  EXPECT_GT(cell(summary, "vase", "all").interval.high, 0.25);
  EXPECT_GT(cell(summary, "random", "all").interval.high, 0) << "none right has a width";
  EXPECT_EQ(summary.cells.front().policy, "full") << "the full cache comes first";
}

TEST(RecallSummary, ComparesOnTheSameAnswers) {
  std::vector<Record> all = records();
  std::erase_if(all, [](const Record &r) { return r.policy == "random" && r.text >= 8; });
  const Summary summary = summarise(all, "vase");
  ASSERT_EQ(summary.comparisons.size(), 2U);
  const Comparison &full = summary.comparisons[0];
  EXPECT_EQ(full.policy, "full");
  EXPECT_EQ(full.place.budget, "4x") << "at each budget of the base";
  EXPECT_EQ(full.difference, 0.75);
  EXPECT_EQ(full.only_policy, 15);
  EXPECT_EQ(full.only_base, 0);
  EXPECT_LT(full.p_value, 0.01);
  const Comparison &random = summary.comparisons[1];
  EXPECT_EQ(random.answers, 16);
  EXPECT_EQ(random.texts, 8);
  EXPECT_EQ(random.only_base, 4);
  EXPECT_TRUE(summarise(all, "").comparisons.empty());
}

// Nine texts with one answer, which vase alone knows, and one text with 31, which random alone
// knows.
TEST(RecallSummary, EveryAnswerWeighsTheSameHoweverManyATextHas) {
  std::vector<Record> all;
  for (int answer = 0; answer < 40; ++answer) {
    const bool in_large = answer >= 9;
    for (const char *policy : {"vase", "random"}) {
      all.push_back(record(in_large ? 9 : answer, "needle", policy, (*policy == 'r') == in_large));
      all.back().item += std::to_string(answer);
    }
  }
  const Summary summary = summarise(all, "vase");
  const Cell &vase = cell(summary, "vase", "all");
  EXPECT_DOUBLE_EQ(vase.right, 9.0 / 40);
  EXPECT_LT(vase.interval.low, 0.15) << "the large text drawn three times: 7 of 100";
  EXPECT_EQ(vase.interval.high, 1) << "the large text not drawn";
  ASSERT_EQ(summary.comparisons.size(), 1U);
  const Comparison &random = summary.comparisons[0];
  EXPECT_DOUBLE_EQ(random.difference, 22.0 / 40) << "answers, not texts, of which 9 of 10 say -1";
  EXPECT_GT(random.interval.high, random.difference);
  EXPECT_EQ(random.interval.low, -1);
  EXPECT_GT(random.p_value, 0.9) << "one text, of either sign, is further off than all others";
}

TEST(RecallSummary, AskedLaterIsAnotherPlace) {
  std::vector<Record> all = records();
  for (const Record &record : records()) {
    all.push_back(record);
    all.back().after = 2000;
  }
  const Summary summary = summarise(all, "vase");
  EXPECT_EQ(summary.cells.size(), 2U * 3 * 4);
  EXPECT_EQ(summary.comparisons.size(), 4U);
  const nlohmann::ordered_json json = to_json(summary);
  EXPECT_EQ(json.at("cells").size(), summary.cells.size());
  EXPECT_EQ(json.at("cells").back().at("after"), 2000);
  EXPECT_EQ(json.at("comparisons").front().at("only_policy"), 15);
}

}  // namespace
}  // namespace vase::recall
