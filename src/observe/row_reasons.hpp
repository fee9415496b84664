// Why each row of a head is still in the cache.
#pragma once

#include <cstdint>
#include <vector>

#include "vase/llama.hpp"

namespace vase::observe {

enum class Reason {
  sink,
  pinned,
  protected_by_range,  ///< its value range is among the largest
  drawn,               ///< the policy chose it, by draw or by rank
  recent,              ///< no eviction has had to decide about it yet
};
const char *to_string(Reason reason);

struct ExplainedRow {
  std::int32_t position = 0;
  float value_range = 0;
  Reason reason = Reason::recent;
};

/// The rows of a head by token position. `evictions`: that the sequence has had.
std::vector<ExplainedRow> explain_rows(const HeadRows &rows, const vase_params &policy,
                                       std::int64_t evictions);

}  // namespace vase::observe
