// Budgets as users write them: rows, or a share of what the full cache needed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "eval/record.hpp"

namespace vase::eval {

/// "4x": a quarter of the mean full-cache length; "prompt": the mean length of the prompts; "1024":
/// rows.
struct Budget {
  std::string label;
  double divisor = 0;      ///< of the mean length; 0: rows are given, or the prompt's length
  std::int32_t rows = 0;   ///< if divisor is 0
  bool of_prompt = false;  ///< the prompt's length

  bool needs_lengths() const { return divisor > 0 || of_prompt; }
};

/// Throws Error if `text` is none of these.
Budget parse_budget(const std::string &text);

/// Mean tokens of the records of the full cache.
struct MeanLength {
  double all = 0;     ///< prompt and generated
  double prompt = 0;  ///< of a conversation: what the user said in all turns
};
/// By group_of(task, tier).
using MeanLengths = std::map<std::string, MeanLength>;
MeanLengths mean_full_lengths(const std::vector<Record> &records);

/// Rows of `budget` for a group: the mean length over the divisor, or of the prompt, rounded to the
/// nearest multiple of 64, at least 128. Throws Error if it depends on a length that is not there.
std::int32_t rows_of(const Budget &budget, const MeanLengths &lengths, const std::string &group);

}  // namespace vase::eval
