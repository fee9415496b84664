// The Walsh-Hadamard rotation of quantised caches, undone by the lanes that share a row.
#ifndef VASE_CUDA_ROTATE_CUH
#define VASE_CUDA_ROTATE_CUH

#include "cuda/products.cuh"

namespace vase::cuda {

static_assert(kMostDim < 4 * kPiece);

/// Walsh-Hadamard over blocks of `block` elements, lane by lane 8 of them in each piece of a row,
/// in the order of additions that core/rows.cpp has: the results are the same bit for bit. Rows of
/// several pieces are those of a whole warp.
template <int kElements>
__device__ inline void rotate(float (&x)[kElements], int lane, int block) {
#pragma unroll
  for (int half = 1; half < kSegment; half *= 2) {
    if (half >= block) break;
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      if ((i & half) != 0) continue;
      const float a = x[i], b = x[i + half];
      x[i] = a + b;
      x[i + half] = a - b;
    }
  }
  for (int half = kSegment; half < min(block, kPiece); half *= 2) {
    const int step = half / kSegment;
#pragma unroll
    for (float& v : x) {
      const float other = __shfl_xor_sync(kFullWarp, v, step);
      v = (lane & step) != 0 ? other - v : v + other;
    }
  }
  if constexpr (kElements > kSegment)
    if (block > kPiece)  // two pieces: no larger power of two divides what a row may have
#pragma unroll
      for (int i = 0; i < kSegment; ++i) {
        const float a = x[i], b = x[i + kSegment];
        x[i] = a + b;
        x[i + kSegment] = a - b;
      }
  const float norm = 1.0f / sqrtf(static_cast<float>(block));
#pragma unroll
  for (float& v : x) v *= norm;
}

}  // namespace vase::cuda

#endif
