// Texts that are read once and asked about from copies: some sequences of a context read, the
// others answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/generator.hpp"
#include "engine/model.hpp"
#include "recall/prompt.hpp"
#include "recall/text.hpp"
#include "vase/llama.hpp"

namespace vase::recall {

/// A text, and what of it is asked: after reading it, and once more after reading on.
struct Task {
  const Text *text = nullptr;
  std::vector<const Item *> at_once = {};
  std::vector<const Item *> later = {};
};

struct Answer {
  const Text *text = nullptr;
  const Item *item = nullptr;
  bool later = false;
  std::string said = {};
};

struct ReadingOptions {
  std::int32_t readers = 1;         ///< sequences that read; the others answer
  std::int32_t prompt_chunk = 512;  ///< tokens of texts and questions in one step, at most
  std::int64_t n_predict = 48;      ///< of an answer
  std::uint64_t seed = 1;           ///< of the evictions' draws, with text and item
};

class Reading {
 public:
  /// All references must outlive this. `context`: its sequences are empty. Nothing of a text is
  /// pinned; what pins prompts pins the opening.
  Reading(const engine::Model &model, const Prompt &prompt, BoundedContext &context,
          const std::vector<Task> &tasks, const ReadingOptions &options);

  bool busy() const;
  /// Decodes one batch. Returns the answers that it finished. Throws Error.
  std::vector<Answer> step();
  /// Tokens that the first reader has read of its text, and what comes behind it.
  std::int64_t position() const { return context_.statistics(0).tokens; }

 private:
  enum class Stage { idle, opening, text, after };

  struct Reader {
    const Task *task = nullptr;
    Stage stage = Stage::idle;
    std::vector<const Item *> to_ask = {};  // the next one last
  };

  std::int32_t readers() const { return static_cast<std::int32_t>(readers_.size()); }
  void next_task(std::int32_t sequence);
  void go_on(std::int32_t sequence);
  void read(std::int32_t sequence, std::span<const llama_token> tokens, bool pins);
  bool ask(std::int32_t reader);
  void ask_all();

  const Prompt &prompt_;
  BoundedContext &context_;
  ReadingOptions options_;
  engine::Generator generator_;
  std::vector<Task>::const_iterator next_, end_;
  std::vector<Reader> readers_;  // [readers]
  std::vector<Answer> answers_;  // [sequences - readers]; without an item: free
};

}  // namespace vase::recall
