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

struct ReadOptions {
  std::optional<Grader> grader = {};            ///< instead of the one that the answers call for
  std::optional<std::string> instruction = {};  ///< behind each question, instead of the usual one
  std::vector<std::string> where = {};  ///< "level=1,2": only questions whose field is one of these
  std::vector<std::string> *notes = nullptr;  ///< where lines for the user go
};

/// Reads a file of JSON lines, one JSON array, an object that holds one, or (*.csv) a table with
/// commas. Lines as `vase tasks make` writes them are our tasks; others are puzzles (read_puzzle)
/// or have a question and an answer (read_shared). Of the latter the grader is choice if there are
/// choices, number if all answers of a task are numbers, latex if the file is of mathematics or an
/// answer is LaTeX, else number or exact, as each answer is. Throws Error that names file and line
/// and the fields that were looked for if one cannot be read.
std::vector<Question> read_questions(const std::filesystem::path &path, const ReadOptions &options);

/// Keeps the questions of these tasks and tiers ("all": every one), at most `count` of each.
std::vector<Question> select(std::vector<Question> questions, const TaskSelection &selection);

}  // namespace vase::eval
