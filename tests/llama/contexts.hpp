// What the tests of bounded contexts share.
#ifndef VASE_TESTS_LLAMA_CONTEXTS_HPP
#define VASE_TESTS_LLAMA_CONTEXTS_HPP

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tiny_models.hpp"
#include "vase/llama.hpp"

namespace vase::tests {

/// One thread, since the tests run many at a time.
inline BoundedOptions options_for(const std::string &policy, int32_t budget) {
  BoundedOptions options;
  options.policy = vase_params_default(vase_policy_find(policy.c_str()), budget);
  options.policy.recency = 32;
  options.policy.interval = 32;
  options.policy.window = 16;
  options.policy.seed = 11;
  options.n_threads = 1;
  options.context.n_threads = 1;
  options.context.n_threads_batch = 1;
  options.context.n_ctx = kTrainingLength;
  return options;
}

inline std::vector<llama_token> random_tokens(size_t count, uint32_t seed = 3) {
  std::mt19937 random(seed);
  std::vector<llama_token> tokens(count);
  for (llama_token &token : tokens)
    token = static_cast<llama_token>(random() % static_cast<uint32_t>(kVocabulary));
  return tokens;
}

inline std::vector<float> logits_of(const BoundedContext &context, int32_t sequence) {
  const float *logits = context.logits(sequence);
  return {logits, logits + kVocabulary};
}

inline llama_token greedy(const BoundedContext &context, int32_t sequence) {
  const std::vector<float> logits = logits_of(context, sequence);
  return static_cast<llama_token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

/// Decodes `tokens` one at a time.
inline void feed_singly(BoundedContext &context, int32_t sequence,
                        std::span<const llama_token> tokens) {
  for (const llama_token &token : tokens)
    context.decode({{.sequence = sequence, .tokens = {&token, 1}}});
}

inline std::vector<llama_token> generate(BoundedContext &context, int32_t sequence, int32_t count) {
  std::vector<llama_token> tokens;
  for (int32_t i = 0; i < count; ++i) {
    tokens.push_back(greedy(context, sequence));
    feed_singly(context, sequence, {&tokens.back(), 1});
  }
  return tokens;
}

/// Positions of every bounded layer and head of a sequence, each list sorted.
inline std::vector<std::vector<int32_t>> kept(const BoundedContext &context, int32_t sequence,
                                              int32_t heads = kHeads) {
  std::vector<std::vector<int32_t>> kept;
  for (int32_t layer = 0; layer < context.bounded_layers(); ++layer)
    for (int32_t head = 0; head < heads; ++head) {
      kept.push_back(context.positions(sequence, layer, head));
      std::ranges::sort(kept.back());
    }
  return kept;
}

/// Share of the rows of `a` that `b` keeps too.
inline double overlap(const BoundedContext &a, const BoundedContext &b, int32_t sequence) {
  const auto rows_a = kept(a, sequence), rows_b = kept(b, sequence);
  size_t both = 0, all = 0;
  for (size_t head = 0; head < rows_a.size(); ++head) {
    std::vector<int32_t> common;
    std::ranges::set_intersection(rows_a[head], rows_b[head], std::back_inserter(common));
    both += common.size();
    all += rows_a[head].size();
  }
  return static_cast<double>(both) / static_cast<double>(all);
}

// Contexts made while this lives never run a graph twice, so each step stops at each layer.
class NoGraphReuse {
 public:
  NoGraphReuse() { setenv("LLAMA_GRAPH_REUSE_DISABLE", "1", 1); }
  ~NoGraphReuse() { unsetenv("LLAMA_GRAPH_REUSE_DISABLE"); }
};

inline BoundedContext stopping_context(llama_model *model, const BoundedOptions &options) {
  const NoGraphReuse no_reuse;
  return {model, options};
}

}  // namespace vase::tests

#endif
