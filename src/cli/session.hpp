// What `run` and `chat` share: a loaded model, a bounded context, and what to say about them.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/memory.hpp"
#include "cli/report.hpp"
#include "cli/rows_file.hpp"
#include "cli/status_line.hpp"
#include "cli/training_length.hpp"
#include "engine/chat.hpp"
#include "engine/generator.hpp"
#include "engine/model.hpp"

namespace vase::cli {

struct SessionArguments {
  ModelArguments model;
  ContextArguments context;
  PolicyArguments policy;
  SamplingArguments sampling;
  ThinkingArguments thinking;
  std::optional<std::int32_t> n_ctx;
  std::int64_t n_predict = -1;
  std::string chat_template;
  std::string system;
  bool force = false;
  bool summary = false;  // also where nobody reads along

  void add_to(CLI::App &app);
};

/// What came of a prompt.
struct Turn {
  std::string text;  ///< what the model said
  /// Not all if a signal, an error or a full cache ended the turn before the answer: what was not
  /// read is forgotten.
  engine::PromptRead prompt = engine::PromptRead::none;
  engine::Finish finish = engine::Finish::none;  ///< none: interrupted, or failed
  std::string error;                             ///< why the turn failed; empty: it did not
};

class Session {
 public:
  /// Checks that all fits into memory, then loads. Throws Error, or Interrupted after a signal.
  explicit Session(SessionArguments arguments);

  const engine::Model &model() const { return model_; }
  /// The conversation that --chat-template and --system ask for.
  engine::Conversation conversation() const;

  /// Appends `prompt` and streams what the model says to the standard output, with the status line.
  /// A signal ends it early: see interrupted(). What fails is an error of the turn, and the session
  /// can go on.
  Turn answer(const std::string &prompt);
  /// Forgets the conversation, but not the statistics.
  void clear();

  StatusLine &status_line() { return status_; }
  /// Prints the summary on stderr if someone reads along there, or asked for it.
  void print_summary() const;
  Report report() const;
  /// What each head holds of the conversation.
  KeptRows rows() const { return kept_rows(context_, 0, generator_.tokens(0)); }

 private:
  BoundedOptions bounded_options();
  engine::Model load();
  std::vector<llama_token> tokenize(const std::string &prompt) const;
  void take_turn(const std::string &prompt, Turn &turn);
  void stream(Turn &turn);

  SessionArguments arguments_;
  StatusLine status_;
  engine::SamplingOptions sampling_;
  FullCacheCost full_cache_;
  BoundedOptions options_;
  engine::Model model_;
  BoundedContext context_;
  engine::Generator generator_;
  Report past_;  // sums over the turns that are over
  bool answering_ = false;
  bool at_start_ = true;  // nothing was given to the model yet
  TrainingLength training_length_;
};

}  // namespace vase::cli
