// Are the right answers of a question file graded as right?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/grading.hpp"
#include "eval/question.hpp"

namespace vase::eval {

/// The questions of one task that have one grader.
struct CheckedQuestions {
  std::string task;
  Grader grader = Grader::reasoner;
  std::int64_t questions = 0;
  std::int64_t boxed_right = 0;         ///< with the right answer in a box
  std::int64_t said_right = 0;          ///< with "The answer is ..." and no box
  std::vector<std::string> wrong = {};  ///< "ID: what was expected, what was taken for the answer"
};

/// Answers each question with its own right answer, in a box and in words (an equation is searched
/// for), and grades that. In the order of the questions.
std::vector<CheckedQuestions> check_questions(const std::vector<Question> &questions,
                                              GradingDesk &desk);

}  // namespace vase::eval
