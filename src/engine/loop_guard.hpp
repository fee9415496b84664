// Gets a text out of a repetition loop.
//
// A loop is a matter of what the cache has lost: rows of the loop attend to each other and so keep
// each other in the cache, and what would lead out of it is gone. Flattening the draw comes too
// late (docs/results.md). But the tokens are still there: the text is read again, without the loop
// and the last tokens before it, by a policy that gives up repeated rows first.
#pragma once

#include <cstdint>

#include "engine/loop_detector.hpp"
#include "vase/vase.h"

namespace vase::engine {

/// How far the guard goes back, and how often.
struct RetreatRule {
  /// Before the first round of the loop; twice as many the second time. What leads into a loop is
  /// often wrong itself: with 256 more problems are solved than with 64 or none (docs/results.md).
  std::int64_t tokens = 256;
  std::int64_t most_alarms = 8;  ///< then the text is left to itself
};

/// Watches the text of one generation. It only says what to do; the Generator does it.
class LoopGuard {
 public:
  /// `params`: of the sequence. Throws Error if its policy evicts nothing: such a loop is the
  /// model's own.
  explicit LoopGuard(const vase_params &params, const OnsetRule &onset = {},
                     const RetreatRule &retreat = {});

  /// Takes a token that was generated. Returns 0, or, if the text has begun to repeat itself, how
  /// many of its newest tokens to forget before the rest is read again with params(). May be more
  /// than were generated.
  std::int64_t push(llama_token token);
  /// Of the sequence from the last alarm on: the default policy with the budget and interval that
  /// it had. Each time that it loops under that itself, the recency window is 16 rows shorter, down
  /// to 16, since the same choice would lead into the same loop.
  const vase_params &params() const { return params_; }
  /// How many times push() found a loop.
  std::int64_t alarms() const { return alarms_; }

 private:
  void choose_otherwise();

  vase_params params_;
  OnsetRule onset_;
  RetreatRule retreat_;
  LoopDetector detector_;
  std::int64_t alarms_ = 0;
};

}  // namespace vase::engine
