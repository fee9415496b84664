// Questions from a seed, or from JSONL files: our own, and those that people share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/question.hpp"

namespace vase::eval {

/// Our tasks, made from a seed.
struct TaskSelection {
  std::vector<std::string> tasks = {"all"};
  std::vector<std::string> tiers = {"all"};
  std::string split = "test";
  int count = 64;  ///< of each task and tier
  std::uint64_t seed = 0;
};

/// Throws Error if there is no such task, tier or split.
std::vector<Question> make_questions(const TaskSelection &selection);

/// Reads a file of JSON lines, or one JSON array. Lines as `vase tasks make` writes them are our
/// tasks. Others need a question ("problem", "question", "Question", "prompt") and an answer
/// ("answer", "expected_answer", "Correct Answer"; after "####" if there is such a mark; else the
/// \boxed{} of a "solution"), and may have choices ("choices", "options", or "Incorrect Answer 1"
/// to 3). `grader`: instead of the one that the answers call for: choice if there are choices,
/// number if all answers of the file are numbers, else latex. Throws Error that names file and line
/// if one cannot be read.
std::vector<Question> read_questions(const std::filesystem::path &path,
                                     std::optional<Grader> grader);

/// Keeps the questions of these tasks and tiers ("all": every one), at most `count` of each.
std::vector<Question> select(std::vector<Question> questions, const TaskSelection &selection);

}  // namespace vase::eval
