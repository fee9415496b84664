// What the person who typed `vase exec` is told, and what is counted for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace vase::interpose {

/// Writes a line to stderr, whatever the program does with its log.
void say(const std::string &line);

/// Of all contexts of the process.
struct Counts {
  std::atomic<int64_t> contexts{0};
  std::atomic<int64_t> tokens{0};
  std::atomic<int64_t> evictions{0};  ///< of a sequence, over all of its layers
  std::atomic<int64_t> rows_moved{0};
  std::atomic<int64_t> eviction_microseconds{0};
  std::atomic<int64_t> decode_microseconds{0};
  std::atomic<int64_t> snapshots{0};  ///< sequences that the program put aside
  std::atomic<int64_t> restored{0};
};
Counts &counts();

}  // namespace vase::interpose
