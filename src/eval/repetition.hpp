// Repetition loops: a text that says the same tokens over and over until it is cut off.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace vase::eval {

struct Loop {
  std::int64_t period = 0;  ///< tokens of one round
  std::int64_t tokens = 0;  ///< tokens of the text's end that repeat with this period
};

/// What counts as a loop: the end of the text repeats a block of up to `longest_period` tokens, at
/// least `rounds` times and over at least `tokens` tokens; at most `differences` of these tokens
/// are not the token one period before. Some may differ because stuck models go on counting ("After
/// game 9", "After game 10"); honest work differs more from line to line: of our tasks' worked
/// solutions, cut anywhere, none is taken for a loop, even with 10%.
struct LoopRule {
  std::int64_t longest_period = 1024;
  std::int64_t rounds = 4;
  std::int64_t tokens = 192;
  double differences = 0.05;
};

/// The loop that `tokens` ends in, with the shortest period; nothing if it ends in none.
std::optional<Loop> find_loop(std::span<const std::int32_t> tokens, const LoopRule &rule = {});

}  // namespace vase::eval
