// Whole runs on a tiny model of random weights: its answers are noise, so only what is done with
// them is looked at.
#include "recall/run.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "engine/generator.hpp"
#include "text_fixture.hpp"

namespace vase::recall {
namespace {

eval::Variant variant(const std::string &name) {
  const vase_policy *policy = vase_policy_find(name.c_str());
  return {.label = name,
          .policy = policy,
          .evicts = vase_policy_evicts(policy) != 0,
          .params = [policy](std::int32_t budget) {
            vase_params params = vase_params_default(policy, budget);
            params.recency = params.interval = params.window = 32;
            return params;
          }};
}

class RecallRun : public test::WithModel {
 protected:
  static Plan plan(std::int64_t after = 100) {
    Deal dealt = deal({"needle", "join"}, 2);
    dealt.after = after;
    Plan plan{.texts = {{1200, make_texts(1200, dealt, sources(), prompt(), *model_)}},
              .after = after,
              .variants = {variant("full"), variant("vase"), variant("random")},
              .budgets = {eval::parse_budget("4x"), eval::parse_budget("128")},
              .n_predict = 12};
    return plan;
  }

  bool run(const Plan &plan, const std::string &name, std::int32_t parallel,
           std::size_t stop_after = 100000, std::int32_t contexts = 1) {
    Host host{
        .parallel = parallel, .contexts = contexts, .context = llama_context_default_params()};
    host.context.n_threads = host.context.n_threads_batch = 1;
    host.make_context = [&](const BoundedOptions &options) {
      contexts_.push_back(options.n_sequences);
      if (options.n_sequences > most_) throw Error("out of memory");
      return model_->make_context(options);
    };
    host.progress = [&](const Progress &progress) {
      EXPECT_LE(progress.done, progress.total);
      return progress.done < stop_after;
    };
    AnswersFile file(folder_ / name, {{"cache_types", "f16/f16"}});
    return recall::run(*model_, prompt(), plan, host, file);
  }
  std::map<std::string, std::string> answers(const std::string &name) const {
    std::map<std::string, std::string> answers;
    for (const Record &record : read_answers({(folder_ / name).string()}))
      answers[key_of(record)] = record.answer;
    return answers;
  }

  tests::TemporaryFolder folder_;
  std::vector<std::int32_t> contexts_;
  std::int32_t most_ = 1000;
};

TEST_F(RecallRun, AsksEverythingUnderEveryPolicyAndAgainLater) {
  const Plan all = plan();
  ASSERT_GT(all.texts[0].texts.size(), 1U);
  EXPECT_TRUE(run(all, "run", 5));
  const std::vector<Record> records = read_answers({(folder_ / "run").string()});
  EXPECT_EQ(records.size(), 8U * 2 * 5) << "items, twice, of full and two policies at two budgets";
  EXPECT_EQ(answers("run").size(), records.size());
  for (const Record &record : records) {
    EXPECT_EQ(record.rows, record.policy == "full" ? 0 : record.budget == "4x" ? 320 : 128);
    EXPECT_EQ(record.fraction, 0) << "random weights know nothing";
    EXPECT_FALSE(record.answer.empty());
  }
  EXPECT_TRUE(run(all, "run", 5));
  EXPECT_EQ(contexts_.size(), 5U) << "the second time there is nothing to do";
}

// A question asked from a copy is answered as if text and question had been read in one go.
TEST_F(RecallRun, FullIsThePlainCache) {
  Plan full = plan();
  full.variants = {variant("full")};
  EXPECT_TRUE(run(full, "run", 4));
  const auto asked = answers("run");
  BoundedContext context =
      model_->make_context({.policy = vase_params_default(vase_policy_full(), 1), .context = [] {
                              llama_context_params params = llama_context_default_params();
                              params.n_ctx = 2048;
                              params.n_threads = params.n_threads_batch = 1;
                              return params;
                            }()});
  engine::Generator generator(*model_, context);
  const auto plain_answer = [&](const Text &text, const Item &item, std::int64_t after) {
    std::vector<llama_token> all = text.tokens;
    if (after > 0) all.insert(all.end(), text.after.begin(), text.after.end());
    std::ranges::copy(prompt().question(item.question), std::back_inserter(all));
    generator.clear(0);
    generator.start(0, {.prompt = all, .sampling = {.temperature = 0}, .n_predict = 12});
    std::string said;
    while (generator.busy()) {
      for (const engine::Event &event : generator.step()) said += event.text;
    }
    return said;
  };
  std::size_t compared = 0;
  for (const Text &text : full.texts[0].texts) {
    for (const Item &item : text.items) {
      for (const std::int64_t after : {std::int64_t{0}, full.after}) {
        const Record record{.category = {},
                            .depth = {},
                            .length = 1200,
                            .text = text.index,
                            .item = item.id,
                            .policy = "full",
                            .budget = "full",
                            .after = after,
                            .expected = {},
                            .answer = {}};
        EXPECT_EQ(asked.at(key_of(record)), plain_answer(text, item, after)) << item.id;
        ++compared;
      }
    }
  }
  EXPECT_EQ(compared, asked.size());
}

TEST_F(RecallRun, AStoppedRunGoesOnWhereItWas) {
  const Plan all = plan();
  EXPECT_TRUE(run(all, "whole", 4));
  EXPECT_FALSE(run(all, "parts", 4, 7));
  EXPECT_LT(answers("parts").size(), 20U);
  EXPECT_FALSE(run(all, "parts", 4, 41));
  EXPECT_TRUE(run(all, "parts", 4));
  // What is read beside a question differs, and with it the rounding: at noise, answers may, too.
  const auto keys_in = [this](const std::string &name) {
    std::vector<std::string> keys;
    for (const auto &[key, answer] : answers(name)) keys.push_back(key);
    return keys;
  };
  EXPECT_EQ(keys_in("parts"), keys_in("whole"));
}

TEST_F(RecallRun, ContextsSideBySideSayTheSame) {
  const Plan all = plan();
  EXPECT_TRUE(run(all, "one", 4));
  EXPECT_FALSE(run(all, "three", 4, 30, 3));
  EXPECT_LT(answers("three").size(), answers("one").size());
  EXPECT_TRUE(run(all, "anew", 4, 100000, 3));
  EXPECT_EQ(answers("anew"), answers("one"));
  most_ = 1;
  EXPECT_THROW(run(all, "none", 4, 100000, 3), Error);
}

TEST_F(RecallRun, ItIsAskedOnceIfNothingIsReadOn) {
  EXPECT_TRUE(run(plan(0), "run", 3));
  EXPECT_EQ(answers("run").size(), 8U * 5);
}

TEST_F(RecallRun, TakesFewerSequencesIfMemoryDoesNotDo) {
  Plan full = plan(0);
  full.variants = {variant("full")};
  most_ = 5;
  EXPECT_TRUE(run(full, "run", 16));
  EXPECT_THAT(contexts_, ::testing::ElementsAre(16, 8, 4));
  most_ = 1;
  EXPECT_THROW(run(full, "none", 16), Error);
}

}  // namespace
}  // namespace vase::recall
