// The Walsh-Hadamard rotation of quantised caches, undone by the lanes that share a row.
#ifndef VASE_CUDA_ROTATE_CUH
#define VASE_CUDA_ROTATE_CUH

#include "cuda/products.cuh"

namespace vase::cuda {

/// Walsh-Hadamard over blocks of `block` elements, lane by lane 8 of them, in the order of
/// additions that core/rows.cpp has: the results are the same bit for bit.
__device__ inline void rotate(float (&x)[kSegment], int lane, int block) {
#pragma unroll
  for (int half = 1; half < kSegment; half *= 2) {
    if (half >= block) break;
#pragma unroll
    for (int i = 0; i < kSegment; ++i) {
      if ((i & half) != 0) continue;
      const float a = x[i], b = x[i + half];
      x[i] = a + b;
      x[i + half] = a - b;
    }
  }
  for (int half = kSegment; half < block; half *= 2) {
    const int step = half / kSegment;
#pragma unroll
    for (float& v : x) {
      const float other = __shfl_xor_sync(kFullWarp, v, step);
      v = (lane & step) != 0 ? other - v : v + other;
    }
  }
  const float norm = 1.0f / sqrtf(static_cast<float>(block));
#pragma unroll
  for (float& v : x) v *= norm;
}

}  // namespace vase::cuda

#endif
