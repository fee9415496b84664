// JSON of a cache, as the web page's observatory reads it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "vase/llama.hpp"

namespace vase::observe {

/// On one line. Whatever is not valid UTF-8 in it becomes U+FFFD.
std::string dump(const nlohmann::ordered_json &json);

/// A sequence, as it was after the last step.
struct SlotStatus {
  const char *state = "idle";  ///< "idle", "prompt", "generating" or "rereading"
  std::int64_t tokens = 0;
  std::int64_t generated = 0;
  std::int64_t cached = 0;  ///< tokens of the prompt that were not read again
  std::int32_t rows = 0;    ///< of a head
  std::int32_t budget = 0;  ///< rows
  std::int64_t evictions = 0;
  double tokens_per_second = 0;
  std::string policy = {};

  bool busy() const { return state[0] != 'i'; }
};
/// `capacity`: cells of the sequence.
nlohmann::ordered_json as_json(const SlotStatus &slot, std::size_t id, std::int32_t capacity);

/// Which rows a head holds, and why.
struct HeadView {
  std::int32_t slot = 0, layer = 0, head = 0;
  HeadRows rows = {};
  SequenceStatistics statistics = {};
  vase_params policy{};
};
nlohmann::ordered_json as_json(const HeadView &view);

}  // namespace vase::observe
