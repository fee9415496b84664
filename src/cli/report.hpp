// What is said about a generation: the live status line and the summary.
#pragma once

#include <cstdint>
#include <string>

namespace vase::cli {

/// Numbers of one sequence, summed over the turns of a conversation.
struct Report {
  std::int64_t prompt_tokens = 0;
  std::int64_t prompt_done = 0;
  std::int64_t prompt_reused = 0;  ///< tokens of earlier turns that a turn went on from
  std::int64_t generated = 0;
  double prompt_seconds = 0;
  double generate_seconds = 0;
  double overhead_seconds = 0;  ///< of both: capture and evictions
  std::int64_t tokens = 0;      ///< in the sequence: those of all prompts and answers
  std::int32_t rows = 0;        ///< each head holds now
  std::int32_t most_rows = 0;   ///< each head holds at most: budget and interval, or the context
  std::int64_t evictions = 0;
  std::int64_t loop_alarms = 0;   ///< times that the loop guard went back
  std::int64_t thoughts_cut = 0;  ///< thoughts that were ended because their budget was spent
  std::int64_t to_reread = 0;     ///< tokens of the text that is being read again, 0: none is
  std::uint64_t kv_bytes = 0;
  std::uint64_t full_kv_bytes = 0;  ///< what a full cache of this many tokens takes
  std::int32_t n_ctx_train = 0;     // 0: nothing is to be said about it
  std::uint32_t seed = 0;
  std::string finish;  ///< why it ended, in words
};

/// One line of ASCII.
std::string status_text(const Report &report);
/// Several lines, each ended by a newline.
std::string summary_text(const Report &report);

}  // namespace vase::cli
