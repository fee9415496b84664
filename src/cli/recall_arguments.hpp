// The arguments of `vase recall`, and what they come to.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/chat_arguments.hpp"
#include "recall/deal.hpp"
#include "recall/run.hpp"

namespace vase::cli {

struct RecallArguments {
  ModelArguments model;
  ContextArguments context;
  PolicyArguments policy;  // parameters of all policies
  std::vector<std::string> texts;
  std::vector<std::int64_t> lengths = {4096};
  std::vector<std::string> categories;
  std::vector<double> depths = {0.1, 0.3, 0.5, 0.7, 0.9};
  int items = 4;  // of each category and depth
  std::int64_t after = 2000;
  std::vector<std::string> policies = {vase_policy_name(vase_policy_full()),
                                       vase_policy_name(vase_policy_default())};
  std::vector<std::string> budgets = {"4x"};
  std::int64_t n_predict = 48;
  std::int32_t parallel = 8;
  std::int32_t contexts = 1;
  std::int64_t seed = 1;
  std::string out = "recall.jsonl";
  std::vector<std::string> report;
  std::optional<std::string> base;
  std::string json;
  ChatArguments chat;
  std::string system;
  bool force = false;

  RecallArguments();
  void add_to(CLI::App &app);

  /// The model's own chat template, or --chat-template; nothing for a model that has none.
  std::optional<engine::ChatTemplate> chat_of(const engine::Model &model) const;
  /// Variants and budgets, checked before anything large is read, without texts. Throws Error if
  /// something does not fit together.
  recall::Plan plan() const;
  /// The texts of each length. Throws Error if they cannot be read, or are too short.
  std::vector<recall::Texts> make_texts(const recall::Prompt &prompt,
                                        const engine::Model &model) const;
  /// All that the answers depend on but policy, budget and length.
  nlohmann::ordered_json settings() const;
};

}  // namespace vase::cli
