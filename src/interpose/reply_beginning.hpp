// The first tokens of the reply that a sequence is writing.
#pragma once

#include <cstdint>
#include <iterator>
#include <span>
#include <vector>

#include "engine/thought_marks.hpp"
#include "llama.h"

namespace vase::interpose {

class ReplyBeginning {
 public:
  /// A reply may begin at this position.
  void begin(int64_t position) {
    begin_ = position;
    tokens_.clear();
  }
  /// The token at `position`. Where there was one already, as of a draft that was not accepted, it
  /// and what followed are forgotten. False: it is behind what may be an opening mark, or a token
  /// before it is not known, and nothing has changed.
  bool add(int64_t position, llama_token token) {
    const int64_t index = position - begin_;
    if (token == LLAMA_TOKEN_NULL || index < 0 || index > std::ssize(tokens_) ||
        index >= static_cast<int64_t>(engine::kTokensOfMark))
      return false;
    tokens_.resize(static_cast<size_t>(index));
    tokens_.push_back(token);
    return true;
  }

  int64_t position() const { return begin_; }
  std::span<const llama_token> tokens() const { return tokens_; }

 private:
  int64_t begin_ = 0;
  std::vector<llama_token> tokens_;
};

}  // namespace vase::interpose
