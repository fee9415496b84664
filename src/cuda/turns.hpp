// Cuts a call into turns that fit the workspace and launches the steps of each.
#ifndef VASE_CUDA_TURNS_HPP
#define VASE_CUDA_TURNS_HPP

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <span>

#include "cuda/workspace.hpp"

namespace vase::cuda {

/// What a call wants of each turn; its arrays start at the turn's first item.
enum class Wish { kKeep, kScores, kMoves, kEvict };

struct Request {
  Wish wish;
  const vase_params* params;  ///< null for kMoves
  std::span<const vase_cuda_item> items;
  uint8_t* keep = nullptr;         ///< out for kKeep, in for kMoves
  float* scores = nullptr;         ///< out for kScores
  const int32_t* freed = nullptr;  ///< kMoves
  int32_t vacate_first = 0;
  int32_t* moved = nullptr;  ///< out for kMoves, kEvict; may be null
  /// Memory that a block of threads may share, where it is to be less than what the device has: as
  /// on another card.
  int32_t shared_bytes = INT32_MAX;
  /// Called with a step's name when its launches are on the stream: for the benchmark's events.
  std::function<void(const char* step)> after_step = {};
};

/// Launches everything on `stream`. Arguments are checked by the caller.
vase_status run(const vase_cuda_limits& limits, const Layout& layout, const Request& request,
                cudaStream_t stream);

}  // namespace vase::cuda

#endif
