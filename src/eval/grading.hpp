// Is the answer right?
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
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
  /// Starts the helper. Throws Error that says what to install if it does not work. `patience`: for
  /// one answer.
  explicit MathVerify(const std::filesystem::path &script,
                      std::chrono::seconds patience = std::chrono::seconds(60));

  /// `reply`: what the model said after its thinking. An answer at which the helper ends or loses
  /// patience is wrong, and the helper is started again (throws Error if it does not start).
  Grade grade(const std::string &expected, std::string_view reply);
  /// Answers of that kind.
  std::int64_t given_up() const { return given_up_; }

 private:
  void start();

  std::filesystem::path script_;
  std::chrono::seconds patience_;
  std::mutex mutex_;  // held for all below
  std::unique_ptr<ChildProcess> process_;
  std::atomic<std::int64_t> given_up_ = 0;
};

class GradingDesk {
 public:
  /// One of the questions needs math-verify.
  static bool needs_script(const std::vector<Question> &questions);
  /// `script`: the helper for math-verify; started now if one of `questions` needs it.
  GradingDesk(const std::vector<Question> &questions, const std::filesystem::path &script);

  /// `reply`: all that the model wrote. May be called from several threads at once.
  Grade grade(const Question &question, const std::string &reply);
  /// Answers that could not be graded in reasonable time and count as wrong.
  std::int64_t given_up() const { return math_ ? math_->given_up() : 0; }

 private:
  std::unique_ptr<MathVerify> math_;
};

}  // namespace vase::eval
