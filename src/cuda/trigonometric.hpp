// What the kernels of TriAttention take.
#ifndef VASE_CUDA_TRIGONOMETRIC_HPP
#define VASE_CUDA_TRIGONOMETRIC_HPP

namespace vase::cuda {

/// Query heads of a KV head, at most: their vectors fit into shared memory.
constexpr int kMostGroup = 24;

}  // namespace vase::cuda

#endif
