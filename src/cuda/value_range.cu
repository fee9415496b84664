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

/// Grid: (blocks of rows, units). kLanes: lanes of a row, a power of two.
template <vase_type T, int kLanes>
__global__ __launch_bounds__(kThreads) void value_range_kernel(DeviceCall call, Scratch scratch) {
  constexpr int kGroups = kThreads / kLanes;
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int first = static_cast<int>(blockIdx.x) * kGroups * kRowsInFlight +
                    static_cast<int>(threadIdx.x) / kLanes;
  const int valid = min(kSegment, call.values.dim - lane * kSegment);

  Segment<T> segments[kRowsInFlight];
#pragma unroll
  for (int i = 0; i < kRowsInFlight; ++i) {
    const int row = first + i * kGroups;
    if (row < item.n_rows && valid > 0)
      segments[i].fetch(row_of(item, item.values, head, row), lane, call.values);
  }
#pragma unroll
  for (int i = 0; i < kRowsInFlight; ++i) {
    float x[kSegment];
    segments[i].values(x);
    if (call.values.rotation != 0) rotate(x, lane, call.values.rotation);
    float low = INFINITY, high = -INFINITY;
#pragma unroll
    for (int d = 0; d < kSegment; ++d)
      if (d < valid) {
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

template <vase_type T, int kLanes>
void launch(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const dim3 grid(
      static_cast<unsigned>(divide_up(call.most_rows, kThreads / kLanes * kRowsInFlight)),
      static_cast<unsigned>(call.units()));
  value_range_kernel<T, kLanes><<<grid, kThreads, 0, stream>>>(call, scratch);
}

template <vase_type T>
void launch(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  if (call.values.dim <= 64) return launch<T, 8>(call, scratch, stream);
  if (call.values.dim <= 128) return launch<T, 16>(call, scratch, stream);
  launch<T, 32>(call, scratch, stream);
}

}  // namespace

void value_ranges(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  with_type(call.values.type, [&]<vase_type T>() { launch<T>(call, scratch, stream); });
}

}  // namespace vase::cuda
