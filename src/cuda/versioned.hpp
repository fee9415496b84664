// The structs of vase/cuda.h, of whatever version a caller was compiled with.
#ifndef VASE_CUDA_VERSIONED_HPP
#define VASE_CUDA_VERSIONED_HPP

#include <cstdint>
#include <vector>

#include "vase/cuda.h"

namespace vase::cuda {

/// As read_layer of capi/versioned.hpp.
vase_status read_limits(const vase_cuda_limits* given, vase_cuda_limits& out);

/// Reads n_items items, which lie as far apart as the size of the first says. An item holds a
/// layer, whose own size says where the fields behind it are.
vase_status read_items(const vase_cuda_item* given, int32_t n_items,
                       std::vector<vase_cuda_item>& out);

}  // namespace vase::cuda

#endif
