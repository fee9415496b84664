// Groups of options that several subcommands share. Names are llama.cpp's where it has one.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine/model.hpp"
#include "engine/sampler.hpp"
#include "engine/thinking_budget.hpp"
#include "llama/plan/memory_plan.hpp"
#include "vase/llama.hpp"
#include "vase/vase.h"

namespace vase::cli {

/// Which model.
struct ModelArguments {
  std::string path;  ///< or a name of the catalogue; empty: the default model
  bool no_reasoner = false;
  std::vector<std::string> loras;
  std::int32_t n_gpu_layers = -1;  ///< -1: all that fit, as llama.cpp decides
  std::string split_mode = "layer";
  std::vector<float> tensor_split;
  std::int32_t main_gpu = 0;
  std::vector<std::string> rpc;  ///< servers, HOST:PORT
  std::string calibration;       ///< file of `vase calibrate`; empty: none
  bool verbose = false;
  mutable bool checked = false;  ///< planner() has read the files' headers

  void add_to(CLI::App &app);
  /// Starts llama.cpp, with the devices of --rpc. Throws Error if one of those is not there.
  void start_llama() const;
  /// The file to load. Throws Error if a model was named that is not known or not fetched yet, or
  /// none was given and the default one is not there.
  std::filesystem::path file() const;
  engine::ModelOptions options() const;
  /// llama.cpp's name of the chat template that an adapter was trained with, where that is not the
  /// model's own: our reasoner knows no system message. "" else.
  std::string trained_template() const;
  /// Throws Error if `policy` needs a calibration and none is given.
  void check_has_calibration(const vase_policy *policy) const;
  /// The same for all of them, and throws Error if a calibration is given that none of them needs.
  void check_calibration(const std::vector<const vase_policy *> &policies) const;
  llama_model_params llama_params() const;
  /// Plans for the model with its adapters. Throws Error if one of the files is missing or does not
  /// fit.
  MemoryPlanner planner() const;
};

/// How llama.cpp runs it.
struct ContextArguments {
  std::optional<std::int32_t> threads;
  std::optional<std::int32_t> threads_batch;
  std::int32_t batch = 2048;
  std::int32_t ubatch = 512;
  std::string type_k = "f16";
  std::string type_v = "f16";

  void add_to(CLI::App &app);
  llama_context_params params() const;
  /// The same for a context whose work a signal ends at once, not for one that must finish it.
  llama_context_params interruptible() const;
};

/// Which rows of the cache stay. What is not given has the policy's default, scaled to the budget.
struct PolicyArguments {
  std::string policy = vase_policy_name(vase_policy_default());
  std::optional<std::int32_t> budget;
  std::optional<std::int32_t> recency;
  std::optional<std::int32_t> interval;
  std::optional<std::int32_t> window;
  std::optional<std::int32_t> sinks;
  std::optional<std::string> protect;  ///< rows, "25%" of the budget, or "auto"
  std::optional<float> temperature;
  std::optional<float> lambda;
  std::optional<float> pin_prompt;  ///< share of the budget
  bool pins_by_default = true;      ///< false: nothing is pinned unless that is asked for
  bool loop_guard = false;

  void add_to(CLI::App &app);
  /// All but --policy and --budget, for commands that run several of both.
  void add_parameters_to(CLI::App &app);
  /// --loop-guard, for commands that generate.
  void add_guard_to(CLI::App &app);
  /// Throws Error if the parameters do not fit together or the policy does not look at one of them.
  /// `seed`: of the draws.
  vase_params params(std::uint64_t seed) const;
  /// A parameter that was given: its option, and its name in vase_params.
  struct Given {
    const char *option;
    const char *parameter;
    bool is_given;
  };
  std::vector<Given> given() const;
  /// Throws Error if something is given that the policy does not look at.
  void check_parameters() const;
  /// Forgets what check_parameters() objects to, for parameters that several policies share.
  void drop_unused();
  bool evicts() const;
  /// Share of the budget up to which the prompt is pinned: what is given, or what the policy wants
  /// where it may pin by default.
  float pinned_share() const;
};

/// How the next token is picked.
struct SamplingArguments {
  engine::SamplingOptions options;
  std::int64_t seed = -1;  ///< -1: a new one each time

  void add_to(CLI::App &app);
  /// The options with a seed that is drawn once if none was given.
  engine::SamplingOptions resolved();
};

/// How long a model may think before it answers.
struct ThinkingArguments {
  engine::ThinkingOptions options;

  void add_to(CLI::App &app);
  /// Throws Error if an answer of `n_predict` tokens (negative: any number) has no room for what
  /// comes behind the thought.
  void check_room(std::int64_t n_predict) const;
  /// The same, or if there is a message and nothing after which to say it.
  void check(std::int64_t n_predict) const;
};

/// The name of a policy.
CLI::Validator known_policy();
/// A whole number from `low` to `high`.
CLI::Validator at_least(std::int64_t low,
                        std::int64_t high = std::numeric_limits<std::int32_t>::max());
/// A number from `low` to `high`.
CLI::Validator between(double low, double high);

}  // namespace vase::cli
