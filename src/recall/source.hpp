// A text of the user's, cut into sentences.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/model.hpp"

namespace vase::recall {

/// The sentences of a text, each with the space before it, so that they come together to the text
/// again. A sentence ends behind ".", "!" or "?" and what closes a quotation, or with a line; one
/// of more than 400 bytes ends at a space.
std::vector<std::string> sentences_of(const std::string &text);

class Source {
 public:
  /// `name`: of its file, for messages.
  Source(std::string name, const std::string &text, const engine::Model &model);

  const std::string &name() const { return name_; }
  std::int64_t tokens() const { return before_.back(); }
  /// [sentences + 1] tokens before each sentence, and in all.
  const std::vector<std::int64_t> &tokens_before() const { return before_; }
  /// Tokens of the sentences [first, last).
  std::span<const llama_token> sentences(std::size_t first, std::size_t last) const;
  /// Sentences from `first` on that have at most so many tokens together: the one behind the last.
  std::size_t end_of(std::size_t first, std::int64_t tokens) const;
  /// The sentence to begin with, for something that needs `tokens` tokens: any from which on there
  /// are as many, chosen by `draw`. Throws Error if the text is too short.
  std::size_t begin_at(std::int64_t tokens, std::uint64_t draw) const;

 private:
  std::string name_;
  std::vector<llama_token> tokens_;
  std::vector<std::int64_t> before_ = {0};
};

}  // namespace vase::recall
