// Rows in the registers of as many neighbouring lanes as they have segments, and their way back
// from RoPE.
#ifndef VASE_CUDA_ROW_GROUP_CUH
#define VASE_CUDA_ROW_GROUP_CUH

#include "core/rope_rule.hpp"
#include "cuda/products.cuh"
#include "cuda/rotate.cuh"

namespace vase::cuda {

/// The lanes of a warp that share a row of kDim elements, a segment each. All groups of a warp must
/// call everything here together.
template <int kDim>
struct RowGroup {
  static constexpr int kLanes = kDim / kSegment;
  static constexpr int kOfWarp = kWarpLanes / kLanes;

  int lane = static_cast<int>(threadIdx.x) % kLanes;
  float* staged;  ///< [kDim] in shared memory, of this group alone

  /// Element d of the row, turned by the angles of token `position`, is turned back; x: the lane's
  /// segment. `steps`: of the pairs (core/rope_rule.hpp).
  __device__ void turn_back(float (&x)[kSegment], const RopeShape& rope, const uint32_t* steps,
                            int32_t position) const {
    constexpr float kTurn = 6.2831853071795864f;
    auto* mine = reinterpret_cast<float4*>(staged + lane * kSegment);
    mine[0] = {x[0], x[1], x[2], x[3]};
    mine[1] = {x[4], x[5], x[6], x[7]};
    __syncwarp();
    for (int i = lane; i < rope.pairs; i += kLanes) {
      float* pair = staged + (rope.stride == 1 ? 2 * i : i);
      float sine, cosine;  // off by 2^-21 at most: the row becomes f16
      __sincosf(kTurn * rope_turns(steps[i], position), &sine, &cosine);
      const float a = pair[0], b = pair[rope.stride];
      pair[0] = fmaf(a, cosine, b * sine);
      pair[rope.stride] = fmaf(b, cosine, -a * sine);
    }
    __syncwarp();
    const float4 low = mine[0], high = mine[1];
    x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
    x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
    __syncwarp();
  }
};

/// The nearest f16 to each element of x, which keeps what that leaves.
__device__ inline uint4 round_to_half(float (&x)[kSegment]) {
  constexpr float kMost = 65504;
#pragma unroll
  for (float& v : x) v = fminf(fmaxf(v, -kMost), kMost);
  return take_plane<true>(x);
}

/// x = the elements of f16 bits.
__device__ inline void half_values(const uint4& bits, float (&x)[kSegment]) {
  Segment<VASE_F16> segment;
  segment.bits = bits;
  segment.values(x);
}

}  // namespace vase::cuda

#endif
