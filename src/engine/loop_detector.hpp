// Notices while a text is being written that it has begun to repeat itself.
#pragma once

#include <cstdint>
#include <vector>

#include "llama.h"

namespace vase::engine {

/// The onset of a repetition loop: the newest tokens repeat a block of `period` tokens, which has
/// come at least `rounds` times, and the repetition has gone on for at least `tokens` tokens; at
/// most `differences` of these are not the token one period before (stuck models go on counting).
/// Looser than what counts as a loop after the fact (eval/repetition.hpp), to be early; how often
/// it is wrong is in docs/evaluation.md.
struct OnsetRule {
  std::int32_t longest_period = 256;
  std::int32_t rounds = 4;
  std::int32_t tokens = 128;
  double differences = 0.04;
};

class LoopDetector {
 public:
  explicit LoopDetector(const OnsetRule &rule = {});

  /// Takes the next token. Returns the shortest period with which the text repeats now, 0 if it
  /// does not. Costs two comparisons for each period there can be.
  std::int32_t push(llama_token token);

  /// Of how many newest tokens (nearly) all agree with the token one `period` before when push()
  /// returns it. The round before them, which these repeat, is not counted.
  std::int64_t span_of(std::int32_t period) const;

 private:
  OnsetRule rule_;
  std::size_t reach_;                // tokens that are looked back over, at most
  std::vector<llama_token> newest_;  // the newest `reach_` tokens or more
  std::vector<std::int32_t>
      matches_;  // [period] of the newest span_of(period) tokens, how many agree
};

}  // namespace vase::engine
