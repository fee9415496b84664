// The arguments of `vase eval`, and what they come to.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/chat_arguments.hpp"
#include "eval/question_file.hpp"
#include "eval/schedule.hpp"

namespace vase::cli {

struct EvalArguments {
  ModelArguments model;
  ContextArguments context;
  PolicyArguments policy;  // parameters of all policies
  SamplingArguments sampling;
  ThinkingArguments thinking;
  eval::TaskSelection selection;
  std::vector<std::string> problems;
  int pack = 0;   // questions in one prompt; 0: one
  int turns = 0;  // questions in one conversation; 0: one
  std::string grader;
  std::vector<std::string> where;  // of fields of --problems
  std::optional<std::string> instruction;
  bool check_problems = false;
  std::string part;  // "2/8"; "": all questions
  std::vector<std::string> policies = {vase_policy_name(vase_policy_full()),
                                       vase_policy_name(vase_policy_default())};
  std::vector<std::string> budgets = {"4x"};
  std::vector<std::string> ask;
  int samples = 1;
  bool greedy = false;
  std::int64_t n_predict = 0;  // 0: each task's own
  std::int32_t parallel = 8;
  std::int32_t contexts = 1;
  std::string out = "eval.jsonl";
  std::string lengths;
  std::vector<std::string> summary;
  std::optional<std::string> base;
  std::string json;
  ChatArguments chat;
  std::string system;
  bool keep_text = false;
  bool force = false;

  EvalArguments();
  void add_to(CLI::App &app);

  /// Throws Error if something does not fit together.
  /// Throws Error if they cannot be read.
  std::vector<eval::Question> questions() const;
  eval::EvaluationPlan plan() const;
  /// All that the results depend on: another run with other settings is another run.
  nlohmann::ordered_json settings() const;
  /// The JSONL file: --out itself, or results.jsonl in the folder that it names.
  std::filesystem::path run_path() const;
};

}  // namespace vase::cli
