#include "eval/stress.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "engine/machine.hpp"

namespace vase::eval {
namespace {

// What the model says until it ends or hits its limit; nothing if it was stopped.
std::optional<std::string> listen(const StressPlan &plan, engine::Generator &generator,
                                  const BoundedContext &context) {
  std::string text;
  try {
    while (generator.busy()) {
      for (const engine::Event &event : generator.step()) text += event.text;
      if (!plan.progress(context.statistics(0).tokens)) return std::nullopt;
    }
  } catch (const Stopped &) {
    return std::nullopt;
  }
  return text;
}

}  // namespace

std::vector<StressAnswer> run_stress(const StressPlan &plan, const engine::Model &model,
                                     BoundedContext &context, engine::Conversation conversation,
                                     GradingDesk &desk) {
  std::vector<StressAnswer> answers;
  engine::Generator generator(model, context);
  while (context.statistics(0).tokens < plan.tokens) {
    const Question &question = plan.questions[answers.size() % plan.questions.size()];
    StressAnswer answer;
    answer.id = question.id;
    answer.task = question.task;
    answer.position = context.statistics(0).tokens;
    const std::int64_t own = question.limit > 0 ? question.limit : model.n_ctx_train();
    generator.start(0, {.prompt = model.tokenize(conversation.ask(question.text), answers.empty()),
                        .sampling = plan.sampling,
                        .n_predict = plan.limit > 0 ? plan.limit : own});
    const std::optional<std::string> text = listen(plan, generator, context);
    if (!text) break;
    conversation.answered();
    answer.tokens = generator.statistics(0).generated;
    answer.correct = desk.grade(question, *text).correct;
    answer.rows = context.statistics(0).rows;
    answer.kv_bytes = context.cache_bytes();
    answer.resident_bytes = engine::resident_memory();
    answers.push_back(std::move(answer));
  }
  return answers;
}

nlohmann::ordered_json to_json(const StressAnswer &answer) {
  return {{"id", answer.id},
          {"task", answer.task},
          {"position", answer.position},
          {"tokens", answer.tokens},
          {"correct", answer.correct},
          {"rows", answer.rows},
          {"kv_bytes", answer.kv_bytes},
          {"resident_bytes", answer.resident_bytes}};
}

}  // namespace vase::eval
