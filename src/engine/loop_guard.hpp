// Acts in the cache when a sequence begins to repeat itself.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/loop_detector.hpp"
#include "vase/llama.hpp"

namespace vase::engine {

/// What the guard does: for the next `evictions` of the sequence the attention logits that score
/// its rows are divided by `temperature` times what the policy has. The draw is then nearly uniform
/// among the rows that are not protected, so the rows of the loop, which attend to each other, no
/// longer push out all others.
struct GuardAction {
  std::int64_t evictions = 8;
  float temperature = 8.0f;
};

/// Watches one sequence from a start to its end.
class LoopGuard {
 public:
  /// `context` must outlive this. Throws Error if the sequence's policy does not score by
  /// attention: then there is nothing to act upon.
  LoopGuard(BoundedContext &context, std::int32_t sequence, const OnsetRule &rule = {},
            const GuardAction &action = {});
  /// Gives the sequence its own parameters back.
  ~LoopGuard();
  LoopGuard(const LoopGuard &) = delete;
  LoopGuard &operator=(const LoopGuard &) = delete;

  /// Takes a token that was generated.
  void push(llama_token token);
  /// How many times a burst began.
  std::int64_t fired() const { return fired_; }

 private:
  void set_temperature(float temperature);

  BoundedContext &context_;
  std::int32_t sequence_;
  float own_temperature_;
  LoopDetector detector_;
  GuardAction action_;
  std::optional<std::int64_t> until_;  // the number of evictions at which the burst is over
  std::int64_t fired_ = 0;
};

}  // namespace vase::engine
