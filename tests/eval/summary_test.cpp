#include "eval/summary.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/eval_tables.hpp"

namespace vase::eval {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

Record answer(const std::string &policy, int question, bool correct, int sample = 0) {
  Record record;
  record.task = question % 2 == 0 ? "even" : "odd";
  record.tier = "4k";
  record.id = "q" + std::to_string(question);
  record.policy = policy;
  record.budget = policy == "full" ? "full" : "4x";
  record.sample = sample;
  record.correct = correct;
  record.tokens = 1000;
  record.share_seconds = 2;
  record.finish = correct ? "end" : "length";
  if (!correct && question % 4 == 0) record.loop = Loop{3, 300};
  record.peak_kv_bytes = 1000 + question;
  const char *name = policy == "full" ? "full" : "vase";
  record.params = vase_params_default(vase_policy_find(name), 512);
  return record;
}

const Cell &find(const Summary &summary, const std::string &policy, const std::string &task) {
  for (const Cell &cell : summary.cells) {
    if (cell.policy == policy && cell.task == task) return cell;
  }
  throw std::runtime_error("no cell " + policy + " " + task);
}

// full: all 16 right; vase: 12; random: 8, of which 6 are among those 12.
std::vector<Record> three_policies() {
  std::vector<Record> records;
  for (int i = 0; i < 16; ++i) {
    records.push_back(answer("random", i, i < 6 || i >= 14));
    records.push_back(answer("vase", i, i < 12));
    records.push_back(answer("full", i, true));
  }
  return records;
}

// A conversation of four questions, `right` of them right, and a look-back of each kind.
Record conversation(const std::string &policy, int number, int right, bool result) {
  Record record = answer(policy, 0, false);
  record.tier = "turns4";
  record.task = "sums";
  record.id = "sums/turns4-" + std::to_string(number);
  for (int i = 0; i < 4; ++i)
    record.items.push_back({.id = "q" + std::to_string(i), .correct = i < right});
  record.items.push_back({.id = "r", .kind = "result", .correct = result});
  record.items.push_back({.id = "n", .kind = "name"});  // does not count
  return record;
}

TEST(Summary, CountsTheItemsOfConversationsAndLookBacksByThemselves) {
  std::vector<Record> records;
  for (int i = 0; i < 10; ++i) {
    records.push_back(conversation("vase", i, 2, i < 5));
    records.push_back(conversation("random", i, i < 5 ? 4 : 1, false));
  }
  const Summary summary = summarise(records, "vase");
  const auto cell = [&](const std::string &tier, const std::string &policy,
                        const std::string &task) {
    for (const Cell &one : summary.cells) {
      if (one.tier == tier && one.policy == policy && one.task == task) return one;
    }
    throw std::runtime_error("no cell " + tier + " " + policy + " " + task);
  };
  EXPECT_DOUBLE_EQ(cell("turns4", "vase", "all").accuracy, 0.5);
  EXPECT_DOUBLE_EQ(cell("turns4", "random", "all").accuracy, 0.625);
  EXPECT_EQ(cell("turns4", "random", "all").questions, 10) << "conversations";
  EXPECT_EQ(cell("turns4", "random", "all").answers, 40);
  EXPECT_DOUBLE_EQ(cell("turns4 look-back", "vase", "sums: result").accuracy, 0.5);
  EXPECT_DOUBLE_EQ(cell("turns4 look-back", "vase", "all").accuracy, 0.5);
  EXPECT_EQ(cell("turns4 look-back", "vase", "all").answers, 10) << "one of each does not count";
  ASSERT_EQ(summary.comparisons.size(), 2U);
  EXPECT_EQ(summary.comparisons[0].tier, "turns4");
  EXPECT_DOUBLE_EQ(summary.comparisons[0].difference, 0.125);
  ASSERT_TRUE(summary.comparisons[0].p_value.has_value());
  EXPECT_EQ(summary.comparisons[0].test, "sign flips");
  EXPECT_THAT(cli::as_tables(summary), AllOf(HasSubstr("sign flips"), Not(HasSubstr("McNemar"))));
  EXPECT_GT(*summary.comparisons[0].p_value, 0.2) << "half are better, half are worse";
  EXPECT_EQ(summary.comparisons[1].tier, "turns4 look-back");
  EXPECT_LT(*summary.comparisons[1].p_value, 0.1);
}

TEST(Summary, CountsWhatIsReported) {
  const Summary summary = summarise(three_policies(), "vase");
  const Cell &cell = find(summary, "vase", "all");
  EXPECT_EQ(cell.questions, 16);
  EXPECT_DOUBLE_EQ(cell.accuracy, 0.75);
  EXPECT_GT(cell.interval.low, 0.4);
  EXPECT_LT(cell.interval.low, 0.75);
  EXPECT_GT(cell.interval.high, 0.75);
  EXPECT_DOUBLE_EQ(cell.at_limit, 0.25);
  EXPECT_DOUBLE_EQ(cell.in_loop, 1.0 / 16);  // question 12
  EXPECT_DOUBLE_EQ(cell.mean_rows, 512);
  EXPECT_EQ(cell.peak_kv_bytes, 1015);
  EXPECT_DOUBLE_EQ(cell.tokens_per_second, 500);
  EXPECT_EQ(find(summary, "vase", "even").questions, 8);
  const Cell &full = find(summary, "full", "all");
  EXPECT_DOUBLE_EQ(full.accuracy, 1);
  EXPECT_LT(full.interval.low, 0.9) << "all right is no certainty";
  EXPECT_EQ(summary.cells.front().policy, "full") << "the full cache comes first";
}

TEST(Summary, ComparesOnTheSameQuestions) {
  const Summary summary = summarise(three_policies(), "vase");
  ASSERT_EQ(summary.comparisons.size(), 2U);
  const Comparison &full = summary.comparisons[0];
  EXPECT_EQ(full.policy, "full");
  EXPECT_EQ(full.budget, "4x") << "where the base was run";
  EXPECT_DOUBLE_EQ(full.difference, 0.25);
  EXPECT_EQ(full.only_policy, 4);
  EXPECT_EQ(full.test, "McNemar");
  EXPECT_NEAR(*full.p_value, 2.0 / 16, 1e-12);
  const Comparison &random = summary.comparisons[1];
  EXPECT_DOUBLE_EQ(random.difference, -0.25);
  EXPECT_EQ(random.only_policy, 2);
  EXPECT_EQ(random.only_base, 6);
  EXPECT_NEAR(*random.p_value, 2 * (1 + 8 + 28) / 256.0, 1e-12);
  EXPECT_LT(random.interval.low, -0.25);
}

TEST(Summary, CacheTypesAreNotMixed) {
  std::vector<Record> records;
  for (int i = 0; i < 8; ++i) {
    for (const auto &[types, right] : {std::pair("f16/f16", 8), {"q4_0/q4_0", 4}}) {
      for (const char *policy : {"full", "vase"}) {
        records.push_back(answer(policy, i, i < right));
        records.back().cache_types = types;
      }
    }
  }
  const Summary summary = summarise(records, "vase");
  std::vector<std::pair<std::string, double>> full;
  for (const Cell &cell : summary.cells) {
    if (cell.policy == "full" && cell.task == "all")
      full.emplace_back(cell.cache_types, cell.accuracy);
  }
  EXPECT_THAT(full, ElementsAre(Pair("f16/f16", 1.0), Pair("q4_0/q4_0", 0.5)));
  ASSERT_EQ(summary.comparisons.size(), 2U);
  for (const Comparison &c : summary.comparisons) {
    EXPECT_EQ(c.questions, 8) << c.cache_types;
    EXPECT_EQ(c.difference, 0) << c.cache_types;
  }
  EXPECT_THAT(cli::as_tables(summary), HasSubstr("budget 4x, types q4_0/q4_0"));
}

TEST(Summary, SeveralSamplesAreOneQuestion) {
  std::vector<Record> records;
  for (int i = 0; i < 8; ++i) {
    for (int sample = 0; sample < 4; ++sample) {
      records.push_back(answer("vase", i, sample < 3, sample));
      records.push_back(answer("random", i, sample < 1, sample));
    }
  }
  const Summary summary = summarise(records, "vase");
  EXPECT_EQ(find(summary, "vase", "all").questions, 8);
  EXPECT_EQ(find(summary, "vase", "all").samples, 32);
  EXPECT_DOUBLE_EQ(find(summary, "vase", "all").accuracy, 0.75);
  EXPECT_DOUBLE_EQ(summary.comparisons[0].difference, -0.5);
  EXPECT_FALSE(summary.comparisons[0].p_value) << "McNemar counts questions, not samples";
}

TEST(Summary, OnlyCommonQuestionsAreCompared) {
  std::vector<Record> records = {answer("vase", 0, true), answer("vase", 1, true),
                                 answer("random", 1, false), answer("random", 2, true)};
  const Summary summary = summarise(records, "vase");
  EXPECT_EQ(summary.comparisons[0].questions, 1);
  EXPECT_DOUBLE_EQ(summary.comparisons[0].difference, -1);
  EXPECT_TRUE(summarise(records, "").comparisons.empty());
}

TEST(Summary, ComparesWithVaseElseWithTheDefaultPolicy) {
  EXPECT_EQ(usual_base({answer("full", 0, true), answer("vase-plus", 0, true)}), "vase-plus");
  EXPECT_EQ(usual_base({answer("vase-plus", 0, true), answer("vase", 0, true)}), "vase");
  EXPECT_EQ(usual_base({answer("full", 0, true)}), "");
}

TEST(Summary, IsTextAndJson) {
  const Summary summary = summarise(three_policies(), "vase");
  const std::string text = cli::as_tables(summary);
  EXPECT_THAT(text, HasSubstr("tier 4k, budget 4x"));
  EXPECT_THAT(text, HasSubstr("paired"));
  EXPECT_THAT(text, HasSubstr("-25.0"));
  const nlohmann::json json = to_json(summary);
  EXPECT_EQ(json["cells"].size(), summary.cells.size());
  EXPECT_EQ(json["comparisons"][0]["policy"], "full");
  EXPECT_TRUE(summarise({}, "vase").cells.empty());
}

}  // namespace
}  // namespace vase::eval
