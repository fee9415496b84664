// What the kernels of TriAttention take.
#ifndef VASE_CUDA_TRIGONOMETRIC_HPP
#define VASE_CUDA_TRIGONOMETRIC_HPP

namespace vase::cuda {

/// Query heads of a KV head, at most: their vectors, of 256 elements, fit into the shared memory that
/// any kernel may have.
constexpr int kMostGroup = 20;

}  // namespace vase::cuda

#endif
