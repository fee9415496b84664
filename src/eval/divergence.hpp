// How far one distribution over the vocabulary is from another.
#pragma once

#include <cstdint>
#include <span>

namespace vase::eval {

/// The logits of one position, prepared once for several comparisons.
class Logits {
 public:
  explicit Logits(std::span<const float> logits);

  std::span<const float> logits() const { return logits_; }
  double log_sum() const { return log_sum_; }  ///< log of the sum of exp(logits)
  std::int32_t likeliest() const { return likeliest_; }
  /// Minus the logarithm of the token's probability, in nats.
  double nll(std::int32_t token) const;
  /// KL(this || other) in nats: the sum over tokens of p log(p / q), Kullback and Leibler 1951.
  double divergence_to(const Logits &other) const;

 private:
  std::span<const float> logits_;
  double log_sum_ = 0;
  std::int32_t likeliest_ = 0;
};

}  // namespace vase::eval
