// A question for a model, and what counts as its answer. Where it came from does not matter here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace vase::eval {

enum class Grader {
  reasoner,    ///< our tasks: the text in the last \boxed{} after </think>
  number,      ///< the same number
  latex,       ///< an equal mathematical expression, by math-verify
  choice,      ///< the same letter, or number of a choice
  text,        ///< the same words in whatever case, alone or in a sentence
  exact,       ///< the same words and no more (eval/exact_text.hpp)
  assignment,  ///< the same value for every name (eval/assignment.hpp)
  equation     ///< an equation from these numbers (eval/equation.hpp)
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

  /// Not empty: `text` asks all of these at once, in this order, and each is graded by itself.
  std::vector<Question> packed = {};
  /// Not empty: a conversation, whose turns these are. `text` is not said.
  std::vector<Question> turns = {};
  /// Of a turn that looks back at an earlier one: what it asks for ("result", "number", "name").
  /// "" for a question.
  std::string kind = {};
  /// Of a look-back whose answer is what the model said in an earlier turn: the index of that turn.
  /// -1: `expected` is.
  int repeats = -1;
};

/// What the user says in one conversation: the turns, or the question alone.
std::span<const Question> turns_of(const Question &question);
/// What is graded in one conversation, each by itself: packed questions, turns, or the question.
std::vector<const Question *> items_of(const Question &question);

/// "tracking/4k", or "aime" without a tier: what budgets and lengths are counted over.
std::string group_of(const std::string &task, const std::string &tier);

}  // namespace vase::eval
