// What `run` and `chat` share: a loaded model, a bounded context, and what to say about them.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/chat_arguments.hpp"
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
  ChatArguments chat;
  std::string system;
  bool force = false;
  bool summary = false;         // also where nobody reads along
  bool drops_thoughts = false;  // of earlier turns

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
  /// After a turn whose answer began with a thought: the cache goes back to where the answer
  /// begins, and the next turn reads what was said behind the thought. Does nothing if there is
  /// nothing to forget, or the thought never ended.
  void forget_thought(const Turn &turn);
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
  void put_aside();
  std::string answer_with_marks() const;
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
  // Where the prompt of the turn ends, but its last token, if thoughts are to be forgotten.
  std::vector<llama_token> aside_tokens_;
  std::vector<std::byte> aside_;
  std::size_t prompt_end_ = 0;        // tokens up to the answer
  std::string opened_thought_;        // by the prompt: the mark
  std::vector<llama_token> to_read_;  // before the next prompt: of an answer without its thought
  bool answering_ = false;
  bool at_start_ = true;  // nothing was given to the model yet
  TrainingLength training_length_;
};

}  // namespace vase::cli
