// A question for a model, and what counts as its answer. Where it came from does not matter here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vase::eval {

enum class Grader {
  reasoner,  ///< our tasks: the text in the last \boxed{} after </think>
  number,    ///< the same number
  latex,     ///< an equal mathematical expression, by math-verify
  choice     ///< the same letter
};

const char *name_of(Grader grader);
/// Throws Error if there is none of this name.
Grader grader_from_name(const std::string &name);

struct Question {
  std::string id;
  std::string task;      ///< a table's column: "tracking", "aime"
  std::string tier;      ///< "4k"; "" if the task has none
  std::string text;      ///< the user's message
  std::string expected;  ///< the right answer
  Grader grader = Grader::reasoner;
  std::int64_t limit = 0;  ///< tokens to generate at most; 0: as many as the model was trained on
};

/// "tracking/4k", or "aime" without a tier: what budgets and lengths are counted over.
std::string group_of(const std::string &task, const std::string &tier);

}  // namespace vase::eval
