// Measures plain llama.cpp and a bounded context in one process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/model.hpp"
#include "vase/llama.hpp"

namespace vase::cli {

struct BenchPlan {
  std::vector<std::int32_t> depths = {};  ///< ascending
  std::int32_t tokens = 0;                ///< decoded at each depth, of each sequence
  std::int32_t stagger = 0;               ///< tokens that each sequence is ahead of the one before
  bool with_plain = true;                 ///< false: the bounded context alone
  BoundedOptions plain = {};
  BoundedOptions bounded = {};

  std::int32_t n_sequences() const { return bounded.n_sequences; }
  /// Tokens that the sequence which is furthest ahead has in the end.
  std::int32_t text_length() const {
    return depths.back() + tokens + (n_sequences() - 1) * stagger;
  }
};

/// One kind of context at one depth. Seconds and evictions are of all sequences and tokens of the
/// window.
struct BenchWindow {
  double seconds = 0;
  double capture_seconds = 0;
  double eviction_seconds = 0;
  std::int64_t evictions = 0;
  std::vector<double> steps = {};  ///< seconds of each step
};

/// Prompts read in pieces, from the start up to a depth. Seconds hold those of the evictions.
struct BenchReading {
  std::int64_t tokens = 0;
  double seconds = 0;
  double processor_seconds = 0;  ///< of all threads: says more where others use the machine, too
  double eviction_seconds = 0;
  std::int64_t evictions = 0;
};

struct BenchDepth {
  std::int32_t depth = 0;
  BenchReading plain_reading = {};
  BenchReading bounded_reading = {};
  BenchWindow plain = {};
  BenchWindow bounded = {};
  std::uint64_t gpu_bytes = 0;  ///< in use on the GPUs when the window had been decoded
};

/// Bytes of a context: what llama.cpp says its cache takes, and what the process grew by.
struct BenchMemory {
  std::uint64_t kv_bytes = 0;
  std::uint64_t resident_bytes = 0;
};

struct BenchResult {
  BenchPlan plan = {};
  std::string model = {};
  std::vector<BenchDepth> depths = {};
  BenchMemory plain = {};
  BenchMemory bounded = {};
  std::uint64_t gpu_bytes_before = 0;  ///< in use on the GPUs before the contexts were made
  bool interrupted = false;            ///< `depths` holds those that were done before
};

/// Called now and then with what is being done; may throw Interrupted to stop.
using BenchProgress = std::function<void(const std::string &)>;

BenchResult measure(const engine::Model &model, const BenchPlan &plan,
                    const BenchProgress &progress);

}  // namespace vase::cli
