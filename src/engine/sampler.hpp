// Picks the next token: llama.cpp's sampler chain behind a small set of options.
#pragma once

#include <cstdint>
#include <memory>

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

  /// Picks from the logits at `index` of the context's last decode.
  llama_token sample(llama_context *context, std::int32_t index);

 private:
  struct Deleter {
    void operator()(llama_sampler *chain) const { llama_sampler_free(chain); }
  };
  std::unique_ptr<llama_sampler, Deleter> chain_;
};

}  // namespace vase::engine
