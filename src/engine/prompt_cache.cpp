#include "engine/prompt_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/parameters.hpp"

namespace vase::engine {

std::string policy_text(const vase_params &params, float pin_prompt) {
  std::string text = fmt::format("{} pin {}", vase_policy_name(params.policy), pin_prompt);
  vase_params seedless = params;
  seedless.seed = 0;
  each_parameter(seedless, [&](const char *name, const auto &value) {
    text += fmt::format(" {} {}", name, value);
  });
  return text;
}

bool PrefixWish::allows(const ReadingRule &other, std::int64_t evictions) const {
  if (rule.policy != other.policy) return false;
  return evictions == 0 || any_draws || rule == other;
}

std::size_t shared_prefix(std::span<const llama_token> held, std::span<const llama_token> prompt) {
  if (held.size() >= prompt.size()) return 0;
  return std::ranges::equal(held, prompt.first(held.size())) ? held.size() : 0;
}

const PutAside *PromptCache::find(const PrefixWish &wish) {
  auto best = all_.end();
  std::size_t longest = 0;
  for (auto it = all_.begin(); it != all_.end(); ++it) {
    const PutAside &one = **it;
    if (one.tokens.size() <= longest || !wish.allows(one.rule, one.evictions)) continue;
    const std::size_t shared = shared_prefix(one.tokens, wish.tokens);
    if (shared <= longest) continue;
    longest = shared;
    best = it;
  }
  if (best == all_.end()) return nullptr;
  all_.splice(all_.begin(), all_, best);
  return all_.front().get();
}

bool PromptCache::holds(const PrefixWish &wish) const {
  return std::ranges::any_of(all_, [&](const auto &one) {
    return wish.allows(one->rule, one->evictions) && std::ranges::equal(one->tokens, wish.tokens);
  });
}

bool PromptCache::put(PutAside put_aside) {
  const std::uint64_t size = put_aside.size();
  if (size > limit_) return false;
  while (bytes_ + size > limit_) drop(all_.back().get());
  bytes_ += size;
  all_.push_front(std::make_shared<const PutAside>(std::move(put_aside)));
  return true;
}

void PromptCache::drop(const PutAside *put_aside) {
  const auto it =
      std::ranges::find_if(all_, [&](const auto &one) { return one.get() == put_aside; });
  bytes_ -= (*it)->size();
  all_.erase(it);
}

}  // namespace vase::engine
