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
/// least `rounds` times and over at least `tokens` tokens, without a single difference. Exact
/// repetition, because traces of honest work differ from line to line in a digit or two.
struct LoopRule {
  std::int64_t longest_period = 1024;
  std::int64_t rounds = 4;
  std::int64_t tokens = 192;
};

/// The loop that `tokens` ends in, with the shortest period; nothing if it ends in none.
std::optional<Loop> find_loop(std::span<const std::int32_t> tokens, const LoopRule &rule = {});

}  // namespace vase::eval
