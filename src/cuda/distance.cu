// How far each candidate's value is from the mean of all, as score/distance.cpp has it.
// A warp takes a row.
#include "cuda/launch.hpp"
#include "cuda/warp_rows.cuh"

namespace vase::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;

/// The sum of a split's candidates but the spoilt ones. Grid: (splits, units).
template <vase_type T, int kPieces>
__global__ __launch_bounds__(kThreads) void sum_values(DeviceCall call, Scratch scratch) {
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int candidates = candidates_of(call, item);
  const int32_t* age = scratch.age + int64_t{unit} * call.row_capacity;

  LaneRow<kPieces> sum = {};
  int count = 0;
  for_split_rows<T, kPieces, kWarps>(item, item.values, call.values, head,
                                     [&](int row, const LaneRow<kPieces>& x) {
                                       if (!__all_sync(kFullWarp, all_finite(x))) return;
                                       if (age[row] >= candidates) return;
                                       ++count;
#pragma unroll
                                       for (int d = 0; d < kPieces * kSegment; ++d) sum[d] += x[d];
                                     });
  store_split_sum<kPieces, kWarps>(sum, scratch, unit);
  store_split_count<kPieces, kWarps>(count, scratch, unit);
}

/// Grid: (splits, units).
template <vase_type T, int kPieces>
__global__ __launch_bounds__(kThreads) void distances_kernel(DeviceCall call, Scratch scratch) {
  constexpr int kElements = kPieces * kPiece;
  __shared__ float mean[kElements];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const float count = split_total<kPieces>(scratch, unit, kElements);
  for (int i = static_cast<int>(threadIdx.x); i < kElements; i += kThreads)
    mean[i] = split_total<kPieces>(scratch, unit, i) / count;
  __syncthreads();

  for_split_rows<T, kPieces, kWarps>(
      item, item.values, call.values, head, [&](int row, const LaneRow<kPieces>& x) {
        float square = 0;
#pragma unroll
        for (int d = 0; d < kPieces * kSegment; ++d) {
          const float apart = x[d] - mean[place_of(d)];
          square = fmaf(apart, apart, square);
        }
        square = warp_sum(square);
        if (lane == 0) scratch.second[int64_t{unit} * call.row_capacity + row] = sqrtf(square);
      });
}

}  // namespace

void value_distances(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(row_splits(call.most_rows)),
                  static_cast<unsigned>(call.units()));
  with_pieces(call.values, [&]<vase_type T, int kPieces>() {
    sum_values<T, kPieces><<<grid, kThreads, 0, stream>>>(call, scratch);
    distances_kernel<T, kPieces><<<grid, kThreads, 0, stream>>>(call, scratch);
  });
}

}  // namespace vase::cuda
