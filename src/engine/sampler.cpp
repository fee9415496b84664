#include "engine/sampler.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>

namespace vase::engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

std::vector<llama_token> tokens_that_end(const llama_vocab *vocab) {
  std::vector<llama_token> tokens;
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); ++token) {
    if (llama_vocab_is_eog(vocab, token)) tokens.push_back(token);
  }
  return tokens;
}

// The first of the largest. Compilers turn the lanes into vector instructions, which they do not
// for std::max_element; it is called for each token of each sequence.
std::size_t argmax(std::span<const float> values) {
  constexpr std::size_t kLanes = 16;
  std::array<float, kLanes> lanes;
  lanes.fill(kNever);
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      lanes[j] = values[i + j] > lanes[j] ? values[i + j] : lanes[j];
    }
  }
  float largest = *std::ranges::max_element(lanes);
  for (; i < values.size(); ++i) largest = std::max(largest, values[i]);
  const auto found = std::ranges::find(values, largest);
  return found == values.end() ? 0 : static_cast<std::size_t>(found - values.begin());
}

}  // namespace

Sampler::Sampler(const llama_vocab *vocab, const SamplingOptions &options) {
  if (options.ignore_eog) forbidden_ = tokens_that_end(vocab);
  if (options.temperature <= 0.0f) return;
  chain_.reset(llama_sampler_chain_init(llama_sampler_chain_default_params()));
  const auto add = [&](llama_sampler *sampler) { llama_sampler_chain_add(chain_.get(), sampler); };
  // The order of llama.cpp's own programs.
  add(llama_sampler_init_top_k(options.top_k));
  add(llama_sampler_init_top_p(options.top_p, 1));
  add(llama_sampler_init_min_p(options.min_p, 1));
  add(llama_sampler_init_temp(options.temperature));
  add(llama_sampler_init_dist(options.seed));
}

llama_token Sampler::likeliest(std::span<const float> logits) const {
  const auto token = static_cast<llama_token>(argmax(logits));
  if (std::ranges::find(forbidden_, token) == forbidden_.end()) return token;
  std::vector<float> allowed(logits.begin(), logits.end());
  for (const llama_token end : forbidden_) allowed[static_cast<std::size_t>(end)] = kNever;
  return static_cast<llama_token>(argmax(allowed));
}

llama_token Sampler::sample(std::span<const float> logits) {
  if (!chain_) return likeliest(logits);
  candidates_.resize(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    candidates_[i] = {static_cast<llama_token>(i), logits[i], 0.0f};
  }
  for (const llama_token end : forbidden_) {
    candidates_[static_cast<std::size_t>(end)].logit = kNever;
  }
  llama_token_data_array array = {candidates_.data(), candidates_.size(), -1, false};
  llama_sampler_apply(chain_.get(), &array);
  const llama_token token = array.data[array.selected].id;
  llama_sampler_accept(chain_.get(), token);
  return token;
}

}  // namespace vase::engine
