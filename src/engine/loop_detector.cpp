#include "engine/loop_detector.hpp"

#include <algorithm>

namespace vase::engine {

LoopDetector::LoopDetector(const OnsetRule &rule)
    : rule_(rule),
      reach_(static_cast<std::size_t>(span_of(rule.longest_period) + rule.longest_period + 1)),
      matches_(static_cast<std::size_t>(rule.longest_period) + 1) {}

std::int64_t LoopDetector::span_of(std::int32_t period) const {
  return std::max<std::int64_t>(std::int64_t{rule_.rounds - 1} * period, rule_.tokens);
}

std::int32_t LoopDetector::push(llama_token token) {
  if (newest_.size() == 2 * reach_) {
    newest_.erase(newest_.begin(), newest_.begin() + static_cast<std::ptrdiff_t>(reach_));
  }
  newest_.push_back(token);
  const auto last = std::ssize(newest_) - 1;
  const auto agrees = [&](std::int64_t i, std::int32_t period) {
    return newest_[static_cast<std::size_t>(i)] == newest_[static_cast<std::size_t>(i - period)];
  };
  std::int32_t found = 0;
  for (std::int32_t period = 1; period <= std::min<std::int64_t>(rule_.longest_period, last);
       ++period) {
    const std::int64_t span = span_of(period), left = last - span;  // `left` has left the span
    std::int32_t &matches = matches_[static_cast<std::size_t>(period)];
    matches += agrees(last, period) ? 1 : 0;
    if (left >= period) matches -= agrees(left, period) ? 1 : 0;
    const auto differences = static_cast<double>(span - matches);
    if (found == 0 && differences <= rule_.differences * static_cast<double>(span)) found = period;
  }
  return found;
}

}  // namespace vase::engine
