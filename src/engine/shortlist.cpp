#include "engine/shortlist.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace vase::engine {
namespace {

constexpr std::size_t kFew = 64;

bool before(const llama_token_data &a, const llama_token_data &b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

bool after(const llama_token_data &a, const llama_token_data &b) { return before(b, a); }

// Keeps the fewest tokens whose e^(logit - max) add up to `wanted`, the largest first. False if all
// of them do not.
bool keep_nucleus(std::vector<llama_token_data> &tokens, double wanted, float max) {
  // The largest of the heap goes to its end, again and again.
  std::make_heap(tokens.begin(), tokens.end(), after);
  auto rest = tokens.end();
  double found = 0;
  do {
    std::pop_heap(tokens.begin(), rest--, after);
    found += std::exp(static_cast<double>(rest->logit - max));
  } while (found < wanted && rest != tokens.begin());
  tokens.erase(tokens.begin(), rest);
  std::ranges::reverse(tokens);
  return found >= wanted;
}

}  // namespace

void shortlist_top_k(LogitBlocks &logits, std::int32_t k, std::vector<llama_token_data> &tokens) {
  logits.collect(logits.reached_by(static_cast<std::size_t>(k)), tokens);
  const auto count = std::min<std::ptrdiff_t>(k, std::ssize(tokens));
  std::partial_sort(tokens.begin(), tokens.begin() + count, tokens.end(), before);
  tokens.resize(static_cast<std::size_t>(count));
}

void shortlist_top_p(LogitBlocks &logits, float p, std::vector<llama_token_data> &tokens) {
  const double sum = logits.exp_sum();
  const double wanted = static_cast<double>(p) * sum;
  // All tokens below this have less than 1 - p of the probability, so the nucleus is above it.
  const double share = std::max(sum - wanted, 0.0) / static_cast<double>(logits.size());
  const float bound = logits.max() + static_cast<float>(std::log(std::min(share, 1.0)));
  // Many tokens are above it, too, and the nucleus seldom needs them.
  logits.collect(std::max(bound, logits.reached_by(kFew)), tokens);
  if (keep_nucleus(tokens, wanted, logits.max())) return;
  logits.collect(bound, tokens);
  keep_nucleus(tokens, wanted, logits.max());
}

void shortlist_min_p(const LogitBlocks &logits, float p, std::vector<llama_token_data> &tokens) {
  logits.collect(logits.max() + std::min(std::log(std::max(p, 0.0f)), 0.0f), tokens);
}

}  // namespace vase::engine
