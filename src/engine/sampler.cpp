#include "engine/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "engine/shortlist.hpp"

namespace vase::engine {
namespace {

std::vector<llama_token> tokens_that_end(const llama_vocab *vocab) {
  std::vector<llama_token> tokens;
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); ++token) {
    if (llama_vocab_is_eog(vocab, token)) tokens.push_back(token);
  }
  return tokens;
}

}  // namespace

Sampler::Sampler(const llama_vocab *vocab, const SamplingOptions &options) : options_(options) {
  if (options.ignore_eog) forbidden_ = tokens_that_end(vocab);
  if (options.temperature <= 0.0f) return;
  chain_.reset(llama_sampler_chain_init(llama_sampler_chain_default_params()));
  const auto add = [&](llama_sampler *sampler) { llama_sampler_chain_add(chain_.get(), sampler); };
  // The order of llama.cpp's own programs: top-k, top-p, min-p, temperature. The first of the
  // filters that is on has made the shortlist.
  if (options.top_k > 0) add(llama_sampler_init_top_p(options.top_p, 1));
  add(llama_sampler_init_min_p(options.min_p, 1));
  add(llama_sampler_init_temp(options.temperature));
  add(llama_sampler_init_dist(options.seed));
}

std::span<const float> Sampler::without_forbidden(std::span<const float> logits) {
  allowed_.assign(logits.begin(), logits.end());
  for (const llama_token end : forbidden_) {
    allowed_[static_cast<std::size_t>(end)] = -std::numeric_limits<float>::infinity();
  }
  return allowed_;
}

llama_token_data_array Sampler::shortlist() {
  const bool by_k = options_.top_k > 0, by_p = options_.top_p < 1.0f;
  if (by_k) {
    shortlist_top_k(logits_, options_.top_k, candidates_);
  } else if (by_p) {
    shortlist_top_p(logits_, options_.top_p, candidates_);
  } else {
    shortlist_min_p(logits_, options_.min_p, candidates_);
  }
  return {candidates_.data(), candidates_.size(), -1, by_k || by_p};
}

llama_token Sampler::sample(std::span<const float> logits) {
  logits_.read(logits);
  const bool likeliest_will_do =
      !chain_ && std::ranges::find(forbidden_, logits_.argmax()) == forbidden_.end();
  if (!forbidden_.empty() && !likeliest_will_do) logits_.read(without_forbidden(logits));
  if (!chain_ || !std::isfinite(logits_.max())) return logits_.argmax();
  llama_token_data_array tokens = shortlist();
  llama_sampler_apply(chain_.get(), &tokens);
  const llama_token token = tokens.data[tokens.selected].id;
  llama_sampler_accept(chain_.get(), token);
  return token;
}

}  // namespace vase::engine
