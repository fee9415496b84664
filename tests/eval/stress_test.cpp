#include "eval/stress.hpp"

#include <gtest/gtest.h>

#include "../engine/text_model.hpp"
#include "../llama/tiny_models.hpp"
#include "engine/log.hpp"

namespace vase::eval {
namespace {

TEST(Stress, AsksOnInOneTextOfFlatMemory) {
  engine::init_llama(false);
  const tests::TemporaryFolder folder;
  engine::test::write_text_model(folder / "text.gguf");
  const engine::Model model({.path = folder / "text.gguf"});
  BoundedOptions options;
  options.policy = vase_params_default(vase_policy_find("vase"), 128);
  options.context.n_threads = options.context.n_threads_batch = 1;
  BoundedContext context = model.make_context(options);

  StressPlan plan;
  for (const char *id : {"a", "b"}) {
    Question question;
    question.id = id;
    question.text = std::string("Say ") + id;
    question.expected = "1";
    question.grader = Grader::number;
    plan.questions.push_back(question);
  }
  plan.sampling.ignore_eog = true;
  plan.limit = 100;
  plan.tokens = 2000;
  plan.progress = [](std::int64_t) { return true; };
  GradingDesk desk(plan.questions, "");
  const engine::Conversation conversation(engine::ChatTemplate("chatml"), "");
  const auto answers = run_stress(plan, model, context, conversation, desk);

  ASSERT_GT(answers.size(), 10U);
  EXPECT_EQ(answers[0].position, 0);
  EXPECT_EQ(answers[0].id, "a");
  EXPECT_EQ(answers[1].id, "b");
  EXPECT_EQ(answers[2].id, "a");
  for (std::size_t i = 1; i < answers.size(); ++i) {
    EXPECT_GE(answers[i].position, answers[i - 1].position + 100);
    EXPECT_EQ(answers[i].tokens, 100);
    EXPECT_LE(answers[i].rows, context.cells_per_sequence());
    EXPECT_EQ(answers[i].kv_bytes, answers[0].kv_bytes);
  }
  EXPECT_LT(answers.back().position, 2000);
  EXPECT_GT(context.statistics(0).evictions, 20);

  context.clear(0);
  plan.progress = [](std::int64_t tokens) { return tokens < 500; };
  EXPECT_LT(run_stress(plan, model, context, conversation, desk).size(), 6U) << "stopped";
}

}  // namespace
}  // namespace vase::eval
