// max - min of each value row. A row is shared by as many lanes as it has segments of 8 elements,
// so that a warp reads whole lines; each lane has several rows on the way at once.
#include "cuda/launch.hpp"
#include "cuda/rotate.cuh"

namespace vase::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kRowsInFlight = 4;

/// As fminf and fmaxf, but NaN if one of the two is.
__device__ inline float least(float a, float b) {
  float y;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
__device__ inline float greatest(float a, float b) {
  float y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}

/// Grid: (blocks of rows, units). kLanes: lanes of a row, a power of two; kPieces: segments of
/// each.
template <vase_type T, int kLanes, int kPieces>
__global__ __launch_bounds__(kThreads) void value_range_kernel(DeviceCall call, Scratch scratch) {
  constexpr int kGroups = kThreads / kLanes;
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int first = static_cast<int>(blockIdx.x) * kGroups * kRowsInFlight +
                    static_cast<int>(threadIdx.x) / kLanes;

  Segment<T> segments[kRowsInFlight][kPieces];
#pragma unroll
  for (int i = 0; i < kRowsInFlight; ++i) {
    const int row = first + i * kGroups;
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece)
      if (row < item.n_rows && (piece * kLanes + lane) * kSegment < call.values.dim)
        segments[i][piece].fetch(row_of(item, item.values, head, row), piece * kLanes + lane,
                                 call.values);
  }
#pragma unroll
  for (int i = 0; i < kRowsInFlight; ++i) {
    float x[kPieces * kSegment];
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece) {
      float own[kSegment];
      segments[i][piece].values(own);
#pragma unroll
      for (int d = 0; d < kSegment; ++d) x[piece * kSegment + d] = own[d];
    }
    if (call.values.rotation != 0) rotate(x, lane, call.values.rotation);
    float low = INFINITY, high = -INFINITY;
#pragma unroll
    for (int d = 0; d < kPieces * kSegment; ++d)
      if ((d / kSegment * kLanes + lane) * kSegment + d % kSegment < call.values.dim) {
        low = least(low, x[d]);
        high = greatest(high, x[d]);
      }
#pragma unroll
    for (int step = kLanes / 2; step > 0; step /= 2) {
      low = least(low, __shfl_xor_sync(kFullWarp, low, step));
      high = greatest(high, __shfl_xor_sync(kFullWarp, high, step));
    }
    const int row = first + i * kGroups;
    if (lane == 0 && row < item.n_rows)
      scratch.second[int64_t{unit} * call.row_capacity + row] =
          isfinite(high - low) ? high - low : NAN;
  }
}

template <vase_type T, int kLanes, int kPieces = 1>
void launch(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const dim3 grid(
      static_cast<unsigned>(divide_up(call.most_rows, kThreads / kLanes * kRowsInFlight)),
      static_cast<unsigned>(call.units()));
  value_range_kernel<T, kLanes, kPieces><<<grid, kThreads, 0, stream>>>(call, scratch);
}

template <vase_type T>
void launch(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  if (call.values.dim <= 64) return launch<T, 8>(call, scratch, stream);
  if (call.values.dim <= 128) return launch<T, 16>(call, scratch, stream);
  if (call.values.dim <= kPiece) return launch<T, 32>(call, scratch, stream);
  launch<T, 32, kMostPieces>(call, scratch, stream);
}

}  // namespace

void value_ranges(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  with_type(call.values.type, [&]<vase_type T>() { launch<T>(call, scratch, stream); });
}

}  // namespace vase::cuda
