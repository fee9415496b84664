// Ends a thought that has become too long: llama.cpp's --reasoning-budget.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model.hpp"
#include "engine/thought_marks.hpp"
#include "engine/utf8.hpp"

namespace vase::engine {

struct ThinkingOptions {
  std::int64_t budget = -1;  ///< tokens of each thought; 0: it ends at once, -1: it may be long
  std::string message = {};  ///< written before the mark that ends a thought which was cut short
};

/// The tokens that cut a thought short: the message and the mark. Where the mark is text whose last
/// character would be another token with an empty line behind it (Qwen2.5's ">\n\n"), that line,
/// too: models write it there, and behind the bare mark, which they have never seen, they end.
std::vector<llama_token> end_of_thought(const llama_vocab *vocab, const ThoughtMarks &marks,
                                        const std::string &message);

/// Whether the answer in `tokens`, behind `prompt_end` of them, begins with a thought.
bool thinks(const Model &model, std::span<const llama_token> tokens, std::size_t prompt_end);

/// Watches one answer and says which tokens end a thought whose budget is spent. Marks are found in
/// the text, however it is cut into tokens. As in llama.cpp, the tokens of the opening mark do not
/// count, each thought of an answer has the whole budget, and a character that was begun is ended
/// first; so is a mark that the model has begun itself, for at most kPatience tokens.
class ThinkingBudget {
 public:
  static constexpr std::int64_t kPatience = 8;

  /// `prompt`: all that the model has read, for its end may open a thought. `model` must outlive
  /// this.
  ThinkingBudget(const Model &model, ThinkingOptions options, std::span<const llama_token> prompt);

  /// The token that must come next; nullopt: whatever the sampler picks.
  std::optional<llama_token> due() const;
  /// Takes the next token of the answer.
  void push(llama_token token);
  /// The answer is `answer` again, with its end taken back. What was spent on a thought that is
  /// still open stays spent.
  void go_back(std::span<const llama_token> answer);
  /// Thoughts that were cut short.
  std::int64_t cuts() const { return cuts_; }

 private:
  void begin(const ThoughtMarks *marks);
  void look_for_end();
  void end_if_spent();
  bool inside_mark() const;

  const Model *model_;
  ThinkingOptions options_;
  const ThoughtMarks *opened_by_prompt_;
  const ThoughtMarks *open_ = nullptr;  // of the thought that is open
  std::int64_t spent_ = 0;              // tokens of that
  std::string tail_;                    // the end of the text, where a mark may have begun
  Utf8Assembler utf8_;
  std::vector<llama_token> ending_;  // not empty: is being written
  std::size_t written_ = 0;          // of these
  std::int64_t cuts_ = 0;
};

}  // namespace vase::engine
