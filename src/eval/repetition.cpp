#include "eval/repetition.hpp"

#include <algorithm>

namespace vase::eval {
namespace {

// Tokens at the end that equal the token `period` before them, and the round that they repeat.
std::int64_t periodic_tail(std::span<const std::int32_t> tokens, std::int64_t period) {
  std::int64_t i = std::ssize(tokens) - 1;
  while (i >= period &&
         tokens[static_cast<std::size_t>(i)] == tokens[static_cast<std::size_t>(i - period)]) {
    --i;
  }
  return std::ssize(tokens) - 1 - i + period;
}

}  // namespace

std::optional<Loop> find_loop(std::span<const std::int32_t> tokens, const LoopRule &rule) {
  const std::int64_t longest = std::min(rule.longest_period, std::ssize(tokens) / rule.rounds);
  for (std::int64_t period = 1; period <= longest; ++period) {
    const std::int64_t tail = periodic_tail(tokens, period);
    if (tail >= std::max(rule.rounds * period, rule.tokens)) return Loop{period, tail};
  }
  return std::nullopt;
}

}  // namespace vase::eval
