// Many questions in one text that never ends: does a bounded cache still answer after 32,000
// tokens, and does its memory stay where it was?
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/chat.hpp"
#include "engine/generator.hpp"
#include "engine/model.hpp"
#include "eval/grading.hpp"
#include "eval/question.hpp"

namespace vase::eval {

struct StressPlan {
  std::vector<Question> questions;  ///< asked in this order, and from the first again
  engine::SamplingOptions sampling;
  std::int64_t tokens = 32768;  ///< the last question is asked before the text is this long
  std::int64_t limit = 0;       ///< tokens of an answer; 0: each question's own
  /// Called after each step with the tokens of the text; false stops.
  std::function<bool(std::int64_t)> progress;
};

/// One question of the conversation.
struct StressAnswer {
  std::string id, task;
  std::int64_t position = 0;  ///< tokens of the text before it
  std::int64_t tokens = 0;    ///< generated
  bool correct = false;
  std::int32_t rows = 0;  ///< that each head holds afterwards
  std::uint64_t kv_bytes = 0;
  std::uint64_t resident_bytes = 0;  ///< of the process afterwards
};

/// Asks in sequence 0 of `context`, as one conversation. Returns the answers that were finished.
std::vector<StressAnswer> run_stress(const StressPlan &plan, const engine::Model &model,
                                     BoundedContext &context, engine::Conversation conversation,
                                     GradingDesk &desk);

nlohmann::ordered_json to_json(const StressAnswer &answer);

}  // namespace vase::eval
