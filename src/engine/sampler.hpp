// Picks the next token: llama.cpp's samplers behind a small set of options. The first filter, which
// sees the whole vocabulary, is our own (shortlist.hpp); the others see what it left.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/logit_blocks.hpp"
#include "llama.h"

namespace vase::engine {

/// Names and defaults are llama.cpp's.
struct SamplingOptions {
  float temperature = 0.8f;  ///< 0: always the likeliest token
  std::int32_t top_k = 40;   ///< 0: all
  float top_p = 0.95f;       ///< 1: all
  float min_p = 0.05f;       ///< 0: all
  std::uint32_t seed = 0;
  bool ignore_eog = false;  ///< never end the text
};

class Sampler {
 public:
  Sampler(const llama_vocab *vocab, const SamplingOptions &options);

  /// Picks from [n_vocab] logits. The draws of a seed are those of llama.cpp's chain of top-k,
  /// top-p, min-p, temperature and dist, but where logits are equal or a sum of probabilities meets
  /// top-p to within its rounding. Touches nothing but this sampler, so samplers of several
  /// sequences may run at the same time.
  llama_token sample(std::span<const float> logits);

 private:
  std::span<const float> without_forbidden(std::span<const float> logits);
  llama_token_data_array shortlist();

  struct Deleter {
    void operator()(llama_sampler *chain) const { llama_sampler_free(chain); }
  };
  SamplingOptions options_;
  std::unique_ptr<llama_sampler, Deleter> chain_;  // null: always the likeliest token
  std::vector<llama_token> forbidden_;             // tokens that end a text, if they are ignored
  std::vector<float> allowed_;                     // the logits without them
  LogitBlocks logits_;
  std::vector<llama_token_data> candidates_;
};

}  // namespace vase::engine
