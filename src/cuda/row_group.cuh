// Rows in the registers of as many neighbouring lanes as they have segments, and their way back
// from RoPE.
#ifndef VASE_CUDA_ROW_GROUP_CUH
#define VASE_CUDA_ROW_GROUP_CUH

#include "core/rope_rule.hpp"
#include "cuda/products.cuh"
#include "cuda/rotate.cuh"

namespace vase::cuda {

/// Of a pair in the row of token `position`; off by 2^-21 at most, for rows that become f16.
__device__ inline void phase(uint32_t step, int32_t position, float& sine, float& cosine) {
  constexpr float kTurn = 6.2831853071795864f * 0x1p-32f;
  const auto units = static_cast<int32_t>(step * static_cast<uint32_t>(position));
  __sincosf(kTurn * static_cast<float>(units), &sine, &cosine);
}

/// The lanes of a warp that share a row of kDim elements, a segment each. All groups of a warp must
/// call what takes a whole row together.
template <int kDim>
struct RowGroup {
  static constexpr int kLanes = kDim / kSegment;
  static constexpr int kOfWarp = kWarpLanes / kLanes;
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
  __device__ static int place() { return static_cast<int>(threadIdx.x) / kLanes; }
};

/// Whether the pairs of RoPE are elements of the same place in two segments.
inline bool pairs_segments(const RopeShape& rope) {
  return rope.pairs % kSegment == 0 && rope.stride % kSegment == 0;
}

/// Turns rows back by the angles of their tokens. kPaired: pairs_segments(). For blocks of
/// kThreads.
template <int kDim, bool kPaired, int kThreads>
class RopeUndone;

/// Lanes hand each other the segments that are paired.
template <int kDim, int kThreads>
class RopeUndone<kDim, true, kThreads> {
 public:
  struct Shared {};

  __device__ RopeUndone(const RopeShape& rope, const float* frequencies, Shared&)
      : partner_(RowGroup<kDim>::lane()) {
    const int lane = partner_, pairs = rope.pairs / kSegment, apart = rope.stride / kSegment;
    const bool second = lane >= apart && lane < apart + pairs;
    const int pair = second ? lane - apart : lane;  // in segments
    if (pair >= pairs) return;
    partner_ = second ? pair : lane + apart;
#pragma unroll
    for (int d = 0; d < kSegment; ++d) {
      const uint32_t step = rope_step(frequencies[pair * kSegment + d]);
      steps_[d] = second ? 0u - step : step;  // the other way round, as the other's sine
    }
  }

  /// x: the lane's segment of the row of token `position`.
  __device__ void turn(float (&x)[kSegment], int32_t position) const {
#pragma unroll
    for (int d = 0; d < kSegment; ++d) {
      const float other = __shfl_sync(kFullWarp, x[d], partner_, RowGroup<kDim>::kLanes);
      float sine, cosine;
      phase(steps_[d], position, sine, cosine);
      x[d] = fmaf(x[d], cosine, other * sine);
    }
  }

 private:
  int partner_;
  uint32_t steps_[kSegment]{};
};

/// Through shared memory, wherever the pairs lie.
template <int kDim, int kThreads>
class RopeUndone<kDim, false, kThreads> {
 public:
  struct Shared {
    alignas(16) float rows[kThreads / RowGroup<kDim>::kLanes][kDim];
    uint32_t steps[kMostDim / 2];
  };

  __device__ RopeUndone(const RopeShape& rope, const float* frequencies, Shared& shared)
      : rope_(rope), shared_(shared) {
    for (int i = static_cast<int>(threadIdx.x); i < rope.pairs; i += kThreads)
      shared.steps[i] = rope_step(frequencies[i]);
    __syncthreads();
  }

  __device__ void turn(float (&x)[kSegment], int32_t position) const {
    const int lane = RowGroup<kDim>::lane();
    float* row = shared_.rows[RowGroup<kDim>::place()];
    auto* mine = reinterpret_cast<float4*>(row + lane * kSegment);
    mine[0] = {x[0], x[1], x[2], x[3]};
    mine[1] = {x[4], x[5], x[6], x[7]};
    __syncwarp();
    for (int i = lane; i < rope_.pairs; i += RowGroup<kDim>::kLanes) {
      float* pair = row + (rope_.stride == 1 ? 2 * i : i);
      float sine, cosine;
      phase(shared_.steps[i], position, sine, cosine);
      const float a = pair[0], b = pair[rope_.stride];
      pair[0] = fmaf(a, cosine, b * sine);
      pair[rope_.stride] = fmaf(b, cosine, -a * sine);
    }
    __syncwarp();
    const float4 low = mine[0], high = mine[1];
    x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
    x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
    __syncwarp();
  }

 private:
  const RopeShape& rope_;
  Shared& shared_;
};

/// The nearest f16 to each element of x; the largest there is, for one beyond it.
__device__ inline uint4 round_to_half(const float (&x)[kSegment]) {
  uint32_t bits[kSegment / 2];
#pragma unroll
  for (int i = 0; i < kSegment / 2; ++i)
    asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;"
        : "=r"(bits[i])
        : "f"(x[2 * i + 1]), "f"(x[2 * i]));
  return {bits[0], bits[1], bits[2], bits[3]};
}

/// x = the elements of f16 bits.
__device__ inline void half_values(const uint4& bits, float (&x)[kSegment]) {
  Segment<VASE_F16> segment;
  segment.bits = bits;
  segment.values(x);
}

/// Calls use.operator()<T, dim, full, paired>() for the keys of a call and their RoPE.
template <typename Use>
void with_keys(const DeviceCall& call, const Use& use) {
  with_row_shape(call.keys, padded_dim(call.keys.dim), [&]<vase_type T, int kDim, bool kFull>() {
    if (pairs_segments(call.rope))
      use.template operator()<T, kDim, kFull, true>();
    else
      use.template operator()<T, kDim, kFull, false>();
  });
}

}  // namespace vase::cuda

#endif
