// The logits of one step, read in blocks. The largest of each block says which blocks can hold what
// is looked for, so that only one pass goes over a large vocabulary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "llama.h"

namespace vase::engine {

class LogitBlocks {
 public:
  /// Reads [n_vocab] logits, which must outlive the next calls. Memory is kept from step to step.
  void read(std::span<const float> logits);

  std::size_t size() const { return logits_.size(); }
  /// The largest logit; -inf if all are NaN or -inf.
  float max() const { return max_; }
  /// The first token of the largest logit; 0 if there is none.
  llama_token argmax() const;
  /// A logit that at least `k` tokens reach, not far below the k-th largest; -inf if k is large
  /// (more than there are blocks).
  float reached_by(std::size_t k);
  /// The sum of e^(logit - max()) over all tokens, with a relative error below 1e-6. max() must be
  /// finite.
  double exp_sum() const;
  /// The tokens whose logit is at least `threshold`, in the order of the vocabulary.
  void collect(float threshold, std::vector<llama_token_data> &tokens) const;

 private:
  std::span<const float> block(std::size_t index) const;

  std::span<const float> logits_;
  std::vector<float> maxima_;   // of the blocks
  std::vector<float> ordered_;  // scratch of reached_by()
  float max_ = 0;
};

}  // namespace vase::engine
