// A llama_batch that is allocated once and filled again and again.
#ifndef VASE_LLAMA_OWNED_BATCH_HPP
#define VASE_LLAMA_OWNED_BATCH_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "llama.h"

namespace vase {

class Batch {
 public:
  Batch() = default;
  explicit Batch(int32_t capacity)
      : tokens_(static_cast<size_t>(capacity)),
        positions_(tokens_.size()),
        sequences_(tokens_.size()),
        sequence_pointers_(tokens_.size()),
        sequence_counts_(tokens_.size(), 1),
        logits_(tokens_.size()) {
    for (size_t i = 0; i < tokens_.size(); ++i) sequence_pointers_[i] = &sequences_[i];
  }

  Batch(const Batch &) = delete;  // a copy would point into the original
  Batch &operator=(const Batch &) = delete;
  Batch(Batch &&) = default;
  Batch &operator=(Batch &&) = default;

  void clear() { size_ = 0; }
  int32_t size() const { return static_cast<int32_t>(size_); }
  /// Of each token.
  std::span<const llama_seq_id> sequences() const { return {sequences_.data(), size_}; }

  void add(llama_token token, llama_pos position, llama_seq_id sequence, bool logits) {
    tokens_[size_] = token;
    positions_[size_] = position;
    sequences_[size_] = sequence;
    logits_[size_] = logits ? 1 : 0;
    ++size_;
  }

  /// Points into this object; valid until it is changed.
  llama_batch get() {
    llama_batch batch{};
    batch.n_tokens = size();
    batch.token = tokens_.data();
    batch.pos = positions_.data();
    batch.n_seq_id = sequence_counts_.data();
    batch.seq_id = sequence_pointers_.data();
    batch.logits = logits_.data();
    return batch;
  }

 private:
  size_t size_ = 0;
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<llama_seq_id> sequences_;
  std::vector<llama_seq_id *> sequence_pointers_;  // to sequences_, whose buffer moves with it
  std::vector<int32_t> sequence_counts_;
  std::vector<int8_t> logits_;
};

}  // namespace vase

#endif
