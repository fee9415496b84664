// Checks of what callers of vase/cuda.h hand in, and of what CUDA answers.
#ifndef VASE_CUDA_CHECK_HPP
#define VASE_CUDA_CHECK_HPP

#include <cuda_runtime_api.h>

#include <cstdint>
#include <span>

#include "vase/cuda.h"

namespace vase::cuda {

vase_status check_limits(const vase_cuda_limits& limits);
/// That the items are well formed, alike, and within the limits.
vase_status check_items(const vase_cuda_limits& limits, std::span<const vase_cuda_item> items);
/// That `params.policy` has kernels and finds what it needs in every item.
vase_status check_policy(const vase_cuda_limits& limits, const vase_params& params,
                         std::span<const vase_cuda_item> items);
/// Turns CUDA's answer into ours: VASE_DEVICE_FAILED with what was being done and CUDA's own words.
vase_status check_cuda(cudaError_t error, const char* doing);

}  // namespace vase::cuda

#endif
