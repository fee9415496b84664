// One conversation with a model, turn by turn, as its chat template writes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/chat.hpp"
#include "engine/model.hpp"
#include "eval/question.hpp"

namespace vase::eval {

/// What a reader sees of generated tokens. Control tokens are no text, but for those that begin or
/// end a thought.
std::string text_of(const engine::Model &model, const std::vector<llama_token> &tokens);

class Dialogue {
 public:
  /// All references must outlive this.
  Dialogue(const engine::Model &model, const engine::ChatTemplate &chat_template,
           const std::string &system, const Question &question);

  /// Whether another turn is to be asked.
  bool more() const { return next_ < turns_.size(); }
  /// The turn to be asked next.
  const Question &turn() const { return turns_[next_]; }
  /// Its tokens, up to where the answer begins, behind those that are in the cache: from the second
  /// on they close the answer before. The turn counts as asked.
  std::vector<llama_token> ask();
  /// The mark by which that text opens a thought, as some templates do; "" if it opens none.
  const std::string &opened_thought() const { return opened_thought_; }
  /// The model's answer to the turn that was asked last is in the cache, without the token that
  /// ended it.
  void answered() { conversation_.answered(); }

 private:
  const engine::Model *model_;
  std::span<const Question> turns_;
  engine::Conversation conversation_;
  std::size_t next_ = 0;
  std::string opened_thought_;
};

}  // namespace vase::eval
