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

/// The lanes of a warp that share a row of kDim elements, a segment each, or of wide rows one of
/// each piece. All groups of a warp must call what takes a whole row together.
template <int kDim>
struct RowGroup {
  static constexpr int kSegments = kDim / kSegment;
  static constexpr int kLanes = kSegments < kWarpLanes ? kSegments : kWarpLanes;
  static constexpr int kPieces = (kSegments + kLanes - 1) / kLanes;
  static constexpr int kElements = kPieces * kSegment;  // of a lane
  static constexpr int kOfWarp = kWarpLanes / kLanes;
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
  __device__ static int place() { return static_cast<int>(threadIdx.x) / kLanes; }
  /// The lane's segment of a piece, and whether there is one.
  __device__ static int segment(int piece) { return piece * kLanes + lane(); }
  __device__ static bool has(int piece) {
    return kSegments % kLanes == 0 || segment(piece) < kSegments;
  }
};

/// The lane's segments of a row, zeros beyond its end. kFull as for Segment::fetch.
template <vase_type T, int kDim>
struct GroupRow {
  using Group = RowGroup<kDim>;
  Segment<T> segments[Group::kPieces]{};

  template <bool kFull>
  __device__ void fetch(const std::byte* row, const RowShape& shape) {
#pragma unroll
    for (int piece = 0; piece < Group::kPieces; ++piece) {
      const int segment = Group::segment(piece);
      if (kFull || segment * kSegment < shape.dim)
        segments[piece].template fetch<kFull>(row, segment, shape);
    }
  }
  __device__ void values(float (&x)[Group::kElements]) const {
#pragma unroll
    for (int piece = 0; piece < Group::kPieces; ++piece) {
      float own[kSegment];
      segments[piece].values(own);
#pragma unroll
      for (int d = 0; d < kSegment; ++d) x[piece * kSegment + d] = own[d];
    }
  }
};

/// Whether the pairs of RoPE are elements of the same place in two segments.
inline bool pairs_segments(const RopeShape& rope) {
  return rope.pairs % kSegment == 0 && rope.stride % kSegment == 0;
}

/// Turns rows back by the angles of their tokens. kPaired: pairs_segments(). For blocks of
/// kThreads.
template <int kDim, bool kPaired, int kThreads>
class RopeUndone;

/// Lanes hand each other the segments that are paired. For rows of one piece.
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
  using Group = RowGroup<kDim>;

 public:
  struct Shared {
    alignas(16) float rows[kThreads / Group::kLanes][kDim];
    uint32_t steps[kDim / 2];
  };

  __device__ RopeUndone(const RopeShape& rope, const float* frequencies, Shared& shared)
      : rope_(rope), shared_(shared) {
    for (int i = static_cast<int>(threadIdx.x); i < rope.pairs; i += kThreads)
      shared.steps[i] = rope_step(frequencies[i]);
    __syncthreads();
  }

  __device__ void turn(float (&x)[Group::kElements], int32_t position) const {
    float* row = shared_.rows[Group::place()];
#pragma unroll
    for (int piece = 0; piece < Group::kPieces; ++piece) {
      if (!Group::has(piece)) break;
      const float* own = x + piece * kSegment;
      auto* mine = reinterpret_cast<float4*>(row + Group::segment(piece) * kSegment);
      mine[0] = {own[0], own[1], own[2], own[3]};
      mine[1] = {own[4], own[5], own[6], own[7]};
    }
    __syncwarp();
    for (int i = Group::lane(); i < rope_.pairs; i += Group::kLanes) {
      float* pair = row + (rope_.stride == 1 ? 2 * i : i);
      float sine, cosine;
      phase(shared_.steps[i], position, sine, cosine);
      const float a = pair[0], b = pair[rope_.stride];
      pair[0] = fmaf(a, cosine, b * sine);
      pair[rope_.stride] = fmaf(b, cosine, -a * sine);
    }
    __syncwarp();
#pragma unroll
    for (int piece = 0; piece < Group::kPieces; ++piece) {
      if (!Group::has(piece)) break;
      float* own = x + piece * kSegment;
      const auto* mine = reinterpret_cast<const float4*>(row + Group::segment(piece) * kSegment);
      const float4 low = mine[0], high = mine[1];
      own[0] = low.x, own[1] = low.y, own[2] = low.z, own[3] = low.w;
      own[4] = high.x, own[5] = high.y, own[6] = high.z, own[7] = high.w;
    }
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
  if (call.keys.dim > kPiece)
    return with_type(call.keys.type,
                     [&]<vase_type T>() { use.template operator()<T, kMostDim, false, false>(); });
  with_row_shape(call.keys, padded_dim(call.keys.dim), [&]<vase_type T, int kDim, bool kFull>() {
    if (pairs_segments(call.rope))
      use.template operator()<T, kDim, kFull, true>();
    else
      use.template operator()<T, kDim, kFull, false>();
  });
}

}  // namespace vase::cuda

#endif
