#include "eval/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vase/llama.hpp"

namespace vase::eval {
namespace {

Variant variant(const std::string &name) {
  const vase_policy *policy = vase_policy_find(name.c_str());
  return {.label = name,
          .evicts = vase_policy_evicts(policy) != 0,
          .params = [policy](std::int32_t budget) { return vase_params_default(policy, budget); }};
}

Record full_record(const std::string &task, std::int64_t prompt, std::int64_t tokens) {
  Record record;
  record.task = task;
  record.tier = "2k";
  record.policy = record.budget = "full";
  record.prompt_tokens = prompt;
  record.tokens = tokens;
  return record;
}

EvaluationPlan plan_of(std::vector<std::string> policies, std::vector<std::string> budgets) {
  EvaluationPlan plan;
  for (const char *id : {"a-1", "a-2", "b-1"}) {
    Question question;
    question.id = id;
    question.task = std::string(id, 1);
    question.tier = "2k";
    question.limit = 1000;
    plan.questions.push_back(question);
  }
  for (const std::string &policy : policies) plan.variants.push_back(variant(policy));
  for (const std::string &budget : budgets) plan.budgets.push_back(parse_budget(budget));
  return plan;
}

const std::vector<std::int64_t> kPrompts = {100, 120, 90};

TEST(Budgets, AreRowsOrShares) {
  EXPECT_EQ(parse_budget("4x").divisor, 4);
  EXPECT_EQ(parse_budget("2.5x").divisor, 2.5);
  EXPECT_EQ(parse_budget("1024").rows, 1024);
  for (const char *wrong : {"", "x", "0x", "-4x", "4y", "0", "1.5", "4 x", "many"}) {
    EXPECT_THROW(parse_budget(wrong), Error) << wrong;
  }
}

TEST(Budgets, ComeFromTheMeanLengthOfTheTask) {
  const MeanLengths lengths = mean_full_lengths(
      {full_record("a", 100, 1900), full_record("a", 100, 2300), full_record("b", 50, 300)});
  EXPECT_DOUBLE_EQ(lengths.at("a/2k").all, 2200);
  EXPECT_EQ(rows_of(parse_budget("4x"), lengths, "a/2k"), 576);  // 550 is nearer to 576 than 512
  EXPECT_EQ(rows_of(parse_budget("2x"), lengths, "a/2k"), 1088);
  EXPECT_EQ(rows_of(parse_budget("8x"), lengths, "b/2k"), 128) << "the smallest";
  EXPECT_EQ(rows_of(parse_budget("1.25x"), lengths, "a/2k"), 1792);  // 1,760
  EXPECT_EQ(rows_of(parse_budget("300"), lengths, "c"), 300) << "rows need no length";
  EXPECT_THROW(rows_of(parse_budget("4x"), lengths, "c"), Error);
}

TEST(Limits, StayWithinWhatTheModelWasTrainedOn) {
  Question question;
  EXPECT_EQ(limit_of(question, {}, 100, 8192), 8092);
  question.limit = 1714;
  EXPECT_EQ(limit_of(question, {}, 100, 8192), 1714);
  EXPECT_EQ(limit_of(question, {}, 7000, 8192), 1192);
  EXPECT_EQ(limit_of(question, {.limit = 9999}, 7000, 8192), 9999) << "asked for";
}

TEST(Jobs, EveryCombinationOnceAndNothingTwice) {
  EvaluationPlan plan = plan_of({"full", "vase", "random"}, {"2x", "512"});
  plan.asking.samples = 2;
  plan.asking_by_task["b"].samples = 3;
  EXPECT_EQ(full_jobs(plan, kPrompts, 8192, {}).size(), 2U + 2 + 3);
  const MeanLengths lengths = {{"a/2k", {.all = 2000}}, {"b/2k", {.all = 1000}}};
  const auto jobs = budget_jobs(plan, lengths, kPrompts, 8192, {});
  EXPECT_EQ(jobs.size(), 2U * 2 * 7);
  EXPECT_EQ(jobs[0].params.budget, 1024);
  const std::set<std::string> done = {key_of("a-1", "vase", "2x", 0)};
  const auto rest = budget_jobs(plan, lengths, kPrompts, 8192, done);
  EXPECT_EQ(rest.size(), jobs.size() - 1);
  EXPECT_EQ(rest[0].sample, 1);
  EXPECT_THROW(budget_jobs(plan, {}, kPrompts, 8192, {}), Error);
}

TEST(Jobs, ASelectionHasBudgetsAndFullCachesOfItsOwn) {
  EvaluationPlan plan = plan_of({"full", "vase"}, {"512", "1024"});
  plan.variants.push_back(plan.variants[0]);
  plan.variants[2].label = "quest";
  plan.variants[2].selection = Selection::kQuest;
  EXPECT_TRUE(plan.has_full());
  auto jobs = full_jobs(plan, kPrompts, 8192, {});
  EXPECT_EQ(jobs.size(), 3U);
  const auto budgets = budget_jobs(plan, {}, kPrompts, 8192, {});
  EXPECT_EQ(budgets.size(), 2U * 2 * 3);
  jobs.insert(jobs.end(), budgets.begin(), budgets.end());
  for (const Phase &phase : phases_of(jobs)) {
    for (const Job &job : phase.jobs) {
      EXPECT_EQ(job.variant->selection, phase.jobs[0].variant->selection);
      EXPECT_EQ(job.variant->evicts, phase.jobs[0].variant->evicts);
    }
  }
  plan.variants.erase(plan.variants.begin());
  EXPECT_FALSE(plan.has_full());
}

// What a job gets must not depend on what else is evaluated.
TEST(Phases, JobsOfAPhaseHaveCachesOfOneSize) {
  const EvaluationPlan plan =
      plan_of({"vase", "snapkv", "random", "streaming"}, {"384", "448", "512", "2048"});
  const auto phases = phases_of(budget_jobs(plan, {}, kPrompts, 8192, {}));
  EXPECT_EQ(phases.size(), 6U);  // 512, 768 and 2304 cells, with and without queries
  const auto cells = [](const vase_params &p) { return (p.budget + p.interval + 255) / 256 * 256; };
  for (const Phase &phase : phases) {
    const bool queries = vase_policy_needs_queries(phase.policy.policy) != 0;
    for (const Job &job : phase.jobs) {
      EXPECT_EQ(cells(job.params), cells(phase.policy));
      EXPECT_LE(job.params.budget, phase.policy.budget);
      EXPECT_EQ(vase_policy_needs_queries(job.params.policy) != 0, queries);
    }
  }
  EXPECT_EQ(phases.front().policy.budget, 2048) << "the largest first";
}

TEST(Phases, FullCachesOfAboutOneLengthShareAContext) {
  EvaluationPlan plan = plan_of({"full"}, {});
  plan.questions[2].limit = 5000;
  const auto phases = phases_of(full_jobs(plan, kPrompts, 8192, {}));
  ASSERT_EQ(phases.size(), 2U);
  EXPECT_EQ(phases[0].n_ctx, 6144);
  EXPECT_EQ(phases[1].n_ctx, 2048);
}

TEST(Streams, DependOnQuestionSampleAndSeed) {
  EXPECT_EQ(stream_of("a", 0, 1), stream_of("a", 0, 1));
  EXPECT_NE(stream_of("a", 0, 1), stream_of("a", 1, 1));
  EXPECT_NE(stream_of("a", 0, 1), stream_of("b", 0, 1));
  EXPECT_NE(stream_of("a", 0, 1), stream_of("a", 0, 2));
}

}  // namespace
}  // namespace vase::eval
