// Is the answer right?
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval/child_process.hpp"
#include "eval/question.hpp"

namespace vase::eval {

struct Grade {
  bool correct = false;
  std::optional<std::string> answer = {};  ///< what was taken for the answer
};

/// Asks math-verify (a Python package) whether two mathematical expressions are equal.
class MathVerify {
 public:
  /// Starts the helper. Throws Error that says what to install if it does not work.
  explicit MathVerify(const std::filesystem::path &script);

  /// `reply`: what the model said after its thinking.
  Grade grade(const std::string &expected, const std::string &reply);

 private:
  ChildProcess process_;
};

class GradingDesk {
 public:
  /// One of the questions needs math-verify.
  static bool needs_script(const std::vector<Question> &questions);
  /// `script`: the helper for math-verify; started now if one of `questions` needs it.
  GradingDesk(const std::vector<Question> &questions, const std::filesystem::path &script);

  Grade grade(const Question &question, const std::string &reply);

 private:
  std::unique_ptr<MathVerify> math_;
};

}  // namespace vase::eval
