// Whole evaluations on a tiny model of random weights: its answers are noise, so only what is done
// with them is looked at.
#include "eval/evaluation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>

#include "../engine/loaded_text_model.hpp"
#include "../llama/tiny_models.hpp"
#include "engine/log.hpp"

namespace vase::eval {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Le;
using ::testing::StartsWith;

Variant variant(const std::string &name, float pin_prompt = 0) {
  const vase_policy *policy = vase_policy_find(name.c_str());
  return {.label = pin_prompt > 0 ? name + "+prompt" : name,
          .evicts = vase_policy_evicts(policy) != 0,
          .pin_prompt = pin_prompt,
          .params = [policy](std::int32_t budget) {
            vase_params params = vase_params_default(policy, budget);
            params.recency = params.interval = params.window = 32;
            params.seed = 1;
            return params;
          }};
}

Variant selecting(Selection selection) {
  return {.label = name_of(selection),
          .policy = vase_policy_full(),
          .evicts = false,
          .selection = selection,
          .params = [](std::int32_t budget) {
            return vase_params_default(vase_policy_full(), budget);
          }};
}

class EvaluationTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = engine::test::loaded_text_model(); }
  static void TearDownTestSuite() { model_.reset(); }

  static EvaluationPlan plan() {
    EvaluationPlan plan;
    for (int i = 0; i < 6; ++i) {
      Question question;
      question.id = "q" + std::to_string(i);
      question.task = i < 3 ? "first" : "second";
      question.text = "What is the name of number " + std::string(static_cast<std::size_t>(i), '1');
      question.expected = "7";
      question.grader = Grader::number;
      plan.questions.push_back(question);
    }
    plan.variants = {variant("full"), variant("vase"), variant("random", 0.5f)};
    plan.budgets = {parse_budget("128")};
    plan.asking.limit = 200;
    plan.asking.sampling.ignore_eog = true;
    plan.asking.sampling.temperature = 0.7f;
    return plan;
  }

  // Runs until `stop_after` answers are there.
  bool run(const EvaluationPlan &plan, const std::string &name, std::int32_t parallel,
           std::size_t stop_after = 1000, std::int32_t contexts = 1,
           const std::filesystem::path &script = "") {
    EvaluationHost host;
    host.parallel = parallel;
    host.contexts = contexts;
    host.context = llama_context_default_params();
    host.context.n_threads = host.context.n_threads_batch = 1;
    host.keep_text = true;
    host.make_context = [](const BoundedOptions &options) { return model_->make_context(options); };
    host.progress = [&](const EvaluationProgress &progress) {
      EXPECT_THAT(progress.active, AllOf(Ge(1), Le(parallel * contexts)));
      EXPECT_LE(progress.done, progress.total);
      return progress.done < stop_after;
    };
    GradingDesk desk(plan.questions, script);
    RunFile file(folder_ / name, {{"model", "tiny"}});
    Evaluation evaluation(*model_, engine::ChatTemplate("chatml"), plan, host, desk, file);
    return evaluation.run();
  }
  // What must not depend on how it was run, by key.
  std::map<std::string, std::string> outcomes(const std::string &name) const {
    std::map<std::string, std::string> outcomes;
    for (const Record &record : read_run(folder_ / name).records) {
      const bool fresh = outcomes.emplace(key_of(record), record.replies.at(0).text).second;
      EXPECT_TRUE(fresh) << key_of(record) << " is there twice";
    }
    return outcomes;
  }

  tests::TemporaryFolder folder_;
  static inline std::unique_ptr<engine::Model> model_;
};

TEST_F(EvaluationTest, AsksEveryQuestionUnderEveryPolicy) {
  EXPECT_TRUE(run(plan(), "run", 4));
  const std::vector<Record> records = read_run(folder_ / "run").records;
  EXPECT_EQ(records.size(), 18U);
  for (const Record &record : records) {
    EXPECT_EQ(record.tokens, 200);
    EXPECT_EQ(record.finish, "length");
    EXPECT_GT(record.prompt_tokens, 40);
    EXPECT_GT(record.share_seconds, 0);
    EXPECT_GE(record.seconds, record.share_seconds);
    const bool full = record.policy == "full";
    EXPECT_EQ(record.evictions > 0, !full);
    EXPECT_EQ(record.params.budget, full ? 1 : 128);
    EXPECT_THAT(record.replies.at(0).question, StartsWith("What is the name of number "));
  }
  const auto bytes = [&](const std::string &policy) {
    return std::ranges::find(records, policy, &Record::policy)->peak_kv_bytes;
  };
  EXPECT_EQ(bytes("vase"), bytes("random+prompt"));
  EXPECT_GT(bytes("full"), bytes("vase"));
}

TEST_F(EvaluationTest, SelectionsKeepAllAndReadLittle) {
  EvaluationPlan rivals = plan();
  rivals.variants = {variant("full"), selecting(Selection::kOracle), selecting(Selection::kQuest)};
  rivals.budgets = {parse_budget("48"), parse_budget("512")};
  EXPECT_TRUE(run(rivals, "run", 1));
  const std::vector<Record> records = read_run(folder_ / "run").records;
  ASSERT_EQ(records.size(), 6U * 5);
  const auto outcome = outcomes("run");
  for (const Record &record : records) {
    EXPECT_EQ(record.evictions, 0);
    EXPECT_EQ(record.tokens, 200);
    const Record &full = *std::ranges::find_if(
        records, [&](const Record &r) { return r.id == record.id && r.policy == "full"; });
    EXPECT_EQ(record.peak_kv_bytes, full.peak_kv_bytes);
    EXPECT_EQ(record.selection.has_value(), record.policy != "full");
    if (!record.selection) continue;
    EXPECT_EQ(name_of(*record.selection), record.policy);
    EXPECT_EQ(record.budget, std::to_string(record.params.budget));
    // Quest reads all in the two layers of this model.
    const bool same = record.budget == "512" || record.selection == Selection::kQuest;
    EXPECT_EQ(outcome.at(key_of(record)) == outcome.at(key_of(full)), same) << key_of(record);
  }
}

// Three turns, of which the last looks back at the first.
EvaluationPlan talk() {
  EvaluationPlan plan;
  for (int i = 0; i < 3; ++i) {
    Question question;
    question.id = "talk" + std::to_string(i);
    question.task = "talks";
    question.tier = "turns2";
    for (int j = 0; j < 3; ++j) {
      Question turn;
      turn.id = question.id + "-" + std::to_string(j);
      turn.text = "Say a number, the " + std::to_string(j) + "th";
      turn.expected = "7";
      turn.grader = Grader::number;
      turn.limit = 40;
      question.turns.push_back(turn);
    }
    question.turns[2].kind = "result";
    question.turns[2].repeats = 0;
    plan.questions.push_back(question);
  }
  plan.variants = {variant("full"), variant("vase", 0.5f)};
  plan.budgets = {parse_budget("128")};
  plan.asking.sampling.ignore_eog = true;
  return plan;
}

TEST_F(EvaluationTest, AConversationIsAskedTurnByTurnAndEachIsGraded) {
  EXPECT_TRUE(run(talk(), "talk", 2));
  const std::vector<Record> records = read_run(folder_ / "talk").records;
  ASSERT_EQ(records.size(), 6U);
  for (const Record &record : records) {
    EXPECT_EQ(record.tier, "turns2");
    EXPECT_EQ(record.tokens, 3 * 40) << "each turn up to its own limit";
    EXPECT_EQ(record.finish, "length");
    ASSERT_EQ(record.items.size(), 3U);
    ASSERT_EQ(record.replies.size(), 3U);
    EXPECT_EQ(record.items[1].id, record.id + "-1");
    EXPECT_TRUE(record.items[0].correct.has_value());
    EXPECT_EQ(record.items[2].kind, "result");
    EXPECT_FALSE(record.items[2].correct.has_value()) << "its turn was cut off: it does not count";
    EXPECT_EQ(record.evictions > 0, record.policy != "full");
  }
  // The prompts of all turns, with what closes the answers between them, are the same for all.
  EXPECT_GT(records[0].prompt_tokens, 60);
  for (const Record &record : records)
    EXPECT_LE(std::abs(record.prompt_tokens - records[0].prompt_tokens), 2);
}

TEST_F(EvaluationTest, AConversationThatWasStoppedGoesOnWithTheSameReplies) {
  EXPECT_TRUE(run(talk(), "whole", 1));
  EXPECT_FALSE(run(talk(), "parts", 1, 2));
  EXPECT_TRUE(run(talk(), "parts", 1));
  const auto replies = [&](const std::string &name) {
    std::map<std::string, std::string> all;
    for (const Record &record : read_run(folder_ / name).records) {
      for (const RecordedReply &reply : record.replies) all[key_of(record)] += reply.text + "|";
    }
    return all;
  };
  EXPECT_EQ(replies("parts"), replies("whole"));
}

TEST_F(EvaluationTest, SelectionsDoNotDependOnWhatElseIsEvaluated) {
  EvaluationPlan alone = talk(), beside = talk();
  alone.variants = {selecting(Selection::kOracle)};
  alone.budgets = {parse_budget("48")};
  beside.variants = {selecting(Selection::kQuest), selecting(Selection::kOracle)};
  beside.budgets = {parse_budget("128"), parse_budget("48")};
  std::ranges::reverse(beside.questions);
  run(alone, "alone", 1);
  run(beside, "beside", 1);
  const auto all = outcomes("beside");
  for (const auto &[key, text] : outcomes("alone")) EXPECT_EQ(all.at(key), text) << key;
}

TEST_F(EvaluationTest, TheSameAgain) {
  run(plan(), "one", 3);
  run(plan(), "two", 3);
  EXPECT_EQ(outcomes("one"), outcomes("two"));
}

TEST_F(EvaluationTest, ContextsSideBySideGiveTheSame) {
  run(plan(), "one", 1);
  EXPECT_TRUE(run(plan(), "three", 1, 1000, 3));
  EXPECT_EQ(outcomes("one"), outcomes("three"));
}

TEST_F(EvaluationTest, AllContextsStopWhenToldAndGoOn) {
  EXPECT_FALSE(run(plan(), "cut", 1, 5, 3));
  EXPECT_LT(read_run(folder_ / "cut").records.size(), 18U);
  EXPECT_TRUE(run(plan(), "cut", 1, 1000, 2));
  run(plan(), "whole", 1);
  EXPECT_EQ(outcomes("cut"), outcomes("whole"));
}

TEST_F(EvaluationTest, OrderAndCompanyDoNotMatter) {
  EvaluationPlan other = plan();
  run(other, "one", 1);
  std::ranges::reverse(other.questions);
  std::ranges::reverse(other.variants);
  other.variants.push_back(variant("streaming"));
  other.budgets.push_back(parse_budget("96"));
  run(other, "two", 1);
  const auto more = outcomes("two");
  for (const auto &[key, text] : outcomes("one")) EXPECT_EQ(more.at(key), text) << key;
}

TEST_F(EvaluationTest, GoesOnAfterAnInterruption) {
  run(plan(), "whole", 1);
  EXPECT_FALSE(run(plan(), "parts", 1, 4));
  EXPECT_EQ(read_run(folder_ / "parts").records.size(), 4U);
  EXPECT_FALSE(run(plan(), "parts", 1, 11));
  EXPECT_TRUE(run(plan(), "parts", 1));
  EXPECT_EQ(outcomes("parts"), outcomes("whole"));
  EXPECT_TRUE(run(plan(), "parts", 1)) << "nothing is left to do";
  EXPECT_EQ(read_run(folder_ / "parts").records.size(), 18U);
}

TEST_F(EvaluationTest, NoGraderCanLoseAnAnswer) {
  ::setenv("VASE_PYTHON", "/bin/sh", 1);
  EvaluationPlan latex = plan();
  latex.variants = {variant("full")};
  for (Question &question : latex.questions) question.grader = Grader::latex;
  // Starts once, and dies at the first answer.
  std::ofstream(folder_ / "helper.sh")
      << "[ -e \"$0.once\" ] && exit 1\ntouch \"$0.once\"\necho ready\nread -r x\n";
  EXPECT_THROW(run(latex, "run", 2, 1000, 1, folder_ / "helper.sh"), Error);
  EXPECT_TRUE(read_run(folder_ / "run").records.empty());
  const std::string waiting = (folder_ / "run.ungraded").string();
  EXPECT_TRUE(std::filesystem::exists(waiting));

  std::ofstream(folder_ / "helper.sh")
      << "echo ready\nwhile read -r x; do echo '{\"correct\": true, \"answer\": \"7\"}'; done\n";
  EXPECT_FALSE(run(latex, "run", 2, 1, 1, folder_ / "helper.sh")) << "stops at the first progress";
  const std::vector<Record> records = read_run(folder_ / "run").records;
  EXPECT_GE(records.size(), 2U) << "those that waited are graded first";
  for (const Record &record : records) EXPECT_TRUE(record.correct);
  EXPECT_FALSE(std::filesystem::exists(waiting));
  EXPECT_TRUE(run(latex, "run", 2, 1000, 1, folder_ / "helper.sh"));
  EXPECT_EQ(outcomes("run").size(), 6U);
  ::unsetenv("VASE_PYTHON");
}

TEST_F(EvaluationTest, SamplesDiffer) {
  EvaluationPlan two = plan();
  two.asking.samples = 2;
  two.variants = {variant("vase")};
  run(two, "run", 2);
  const auto texts = outcomes("run");
  EXPECT_EQ(texts.size(), 12U);
  EXPECT_NE(texts.at(key_of("q0", "vase", "128", 0)), texts.at(key_of("q0", "vase", "128", 1)));
}

TEST_F(EvaluationTest, BudgetsComeFromTheFullRunBeside) {
  EvaluationPlan shares = plan();
  shares.budgets = {parse_budget("2x")};
  run(shares, "run", 4);
  const std::vector<Record> records = read_run(folder_ / "run").records;
  const MeanLengths lengths = mean_full_lengths(records);
  ASSERT_EQ(lengths.size(), 2U);
  for (const Record &record : records) {
    if (record.policy == "full") continue;
    EXPECT_EQ(record.params.budget, rows_of(shares.budgets[0], lengths, record.task));
  }
}

TEST_F(EvaluationTest, ATaskMayBeAskedInItsOwnWay) {
  EvaluationPlan own = plan();
  own.asking_by_task["second"] = {.samples = 2, .limit = 50};
  own.variants = {variant("full")};
  run(own, "run", 2);
  for (const Record &record : read_run(folder_ / "run").records) {
    EXPECT_LE(record.tokens, record.task == "first" ? 200 : 50);
  }
  EXPECT_EQ(read_run(folder_ / "run").records.size(), 3U + 6);
}

}  // namespace
}  // namespace vase::eval
