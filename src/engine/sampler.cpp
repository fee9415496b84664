#include "engine/sampler.hpp"

#include <limits>
#include <vector>

namespace vase::engine {
namespace {

// Makes the tokens that end a text impossible.
llama_sampler *init_ignore_eog(const llama_vocab *vocab) {
  const std::int32_t n_tokens = llama_vocab_n_tokens(vocab);
  std::vector<llama_logit_bias> biases;
  for (llama_token token = 0; token < n_tokens; ++token) {
    if (llama_vocab_is_eog(vocab, token)) {
      biases.push_back({token, -std::numeric_limits<float>::infinity()});
    }
  }
  return llama_sampler_init_logit_bias(n_tokens, static_cast<std::int32_t>(biases.size()),
                                       biases.data());
}

}  // namespace

Sampler::Sampler(const llama_vocab *vocab, const SamplingOptions &options)
    : chain_(llama_sampler_chain_init(llama_sampler_chain_default_params())) {
  const auto add = [&](llama_sampler *sampler) { llama_sampler_chain_add(chain_.get(), sampler); };
  if (options.ignore_eog) add(init_ignore_eog(vocab));
  if (options.temperature <= 0.0f) {
    add(llama_sampler_init_greedy());
    return;
  }
  // The order of llama.cpp's own programs.
  add(llama_sampler_init_top_k(options.top_k));
  add(llama_sampler_init_top_p(options.top_p, 1));
  add(llama_sampler_init_min_p(options.min_p, 1));
  add(llama_sampler_init_temp(options.temperature));
  add(llama_sampler_init_dist(options.seed));
}

llama_token Sampler::sample(llama_context *context, std::int32_t index) {
  return llama_sampler_sample(chain_.get(), context, index);
}

}  // namespace vase::engine
