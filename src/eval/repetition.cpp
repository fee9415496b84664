#include "eval/repetition.hpp"

#include <algorithm>

namespace vase::eval {
namespace {

// The longest end of the text in which at most a share of `differences` tokens are not the token
// `period` before them; its first round counts too.
std::int64_t periodic_tail(std::span<const std::int32_t> tokens, std::int64_t period,
                           double differences) {
  std::int64_t tail = 0;
  std::int64_t different = 0;
  for (std::int64_t i = std::ssize(tokens) - 1; i >= period; --i) {
    const bool same =
        tokens[static_cast<std::size_t>(i)] == tokens[static_cast<std::size_t>(i - period)];
    different += same ? 0 : 1;
    const std::int64_t length = std::ssize(tokens) - i;
    if (static_cast<double>(different) <= differences * static_cast<double>(length)) tail = length;
  }
  return tail + period;
}

}  // namespace

std::optional<Loop> find_loop(std::span<const std::int32_t> tokens, const LoopRule &rule) {
  const std::int64_t longest = std::min(rule.longest_period, std::ssize(tokens) / rule.rounds);
  for (std::int64_t period = 1; period <= longest; ++period) {
    const std::int64_t tail = periodic_tail(tokens, period, rule.differences);
    if (tail >= std::max(rule.rounds * period, rule.tokens)) return Loop{period, tail};
  }
  return std::nullopt;
}

}  // namespace vase::eval
