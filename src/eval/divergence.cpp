#include "eval/divergence.hpp"

#include <algorithm>
#include <cmath>

namespace vase::eval {

Logits::Logits(std::span<const float> logits) : logits_(logits) {
  const auto largest = std::ranges::max_element(logits);
  likeliest_ = static_cast<std::int32_t>(largest - logits.begin());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - *largest);
  log_sum_ = *largest + std::log(sum);
}

double Logits::nll(std::int32_t token) const {
  return log_sum_ - logits_[static_cast<std::size_t>(token)];
}

double Logits::divergence_to(const Logits &other) const {
  const auto log_sum = static_cast<float>(log_sum_);
  double sum = 0;
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    // Differences first: both logits may be large where their difference is small.
    sum += std::exp(logits_[i] - log_sum) * (logits_[i] - other.logits_[i]);
  }
  return std::max(0.0, sum - (log_sum_ - other.log_sum_));
}

}  // namespace vase::eval
