// The device memory of a handle: one allocation, laid out once.
#ifndef VASE_CUDA_WORKSPACE_HPP
#define VASE_CUDA_WORKSPACE_HPP

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "cuda/device_call.hpp"
#include "vase/cuda.h"

namespace vase::cuda {

/// Memory for keys as they were before RoPE; one item always fits. More items at a time would keep
/// the device busier, but the keys of all items would take several times what all else takes.
inline constexpr size_t kUprightBytes = size_t{160} << 20;

/// Where everything lies behind the start of the allocation.
struct Layout {
  size_t bytes = 0;          ///< of all
  int64_t plane_elements;    ///< room for packed vectors
  int64_t vector_constants;  ///< room for their constants
  int64_t partials;          ///< room for the parts of their softmax

  /// Carves an allocation at `memory` up, or measures one (memory null).
  Layout(const vase_cuda_limits& limits, std::byte* memory, size_t upright_bytes = kUprightBytes);

  Scratch scratch{};
  DeviceItem* items = nullptr;  ///< [limits.items]
  int32_t* cells = nullptr;     ///< [limits.sequences][limits.n_rows]
};

}  // namespace vase::cuda

#endif
