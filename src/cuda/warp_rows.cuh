// Rows read by warps, a row each, for sums over all rows of a unit.
#ifndef VASE_CUDA_WARP_ROWS_CUH
#define VASE_CUDA_WARP_ROWS_CUH

#include "cuda/products.cuh"

namespace vase::cuda {

constexpr int kSplitRows = 256;  // of a block of threads; row_splits() counts the blocks

__device__ inline float warp_sum(float x) {
  for (int step = kWarpLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(kFullWarp, x, step);
  return x;
}

/// Lane l gets segment l of the row, zeros beyond its end.
template <vase_type T>
__device__ inline void read_row(const std::byte* row, const RowShape& shape, float (&x)[kSegment]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  Segment<T> segment{};
  if (lane * kSegment < shape.dim) segment.fetch(row, lane, shape);
  segment.values(x);
}

/// Calls use(row, x) for each of the warp's rows of the split blockIdx.x, x as read_row() gives it.
template <vase_type T, int kWarps, typename Use>
__device__ inline void for_split_rows(const DeviceItem& item, const DeviceRows& rows,
                                      const RowShape& shape, int head, const Use& use) {
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const int begin = static_cast<int>(blockIdx.x) * kSplitRows;
  const int end = min(item.n_rows, begin + kSplitRows);
#pragma unroll 4
  for (int row = begin + warp; row < end; row += kWarps) {
    float x[kSegment];
    read_row<T>(row_of(item, rows, head, row), shape, x);
    use(row, x);
  }
}

/// A split's part of scratch.row_sums, for a grid of as many splits.
__device__ inline float* split_sums(const Scratch& scratch, int unit, int split) {
  return scratch.row_sums + (int64_t{unit} * gridDim.x + split) * kRowSums;
}

/// Adds up the `sum`s of a block's warps, lane l having segment l, to scratch.row_sums of the split
/// blockIdx.x of `unit`. For blocks of a thread for each element.
template <int kWarps>
__device__ inline void store_split_sum(const float (&sum)[kSegment], const Scratch& scratch,
                                       int unit) {
  static_assert(kWarps * kWarpLanes == kMostDim, "a thread for each element of the sum");
  __shared__ float sums[kWarps][kMostDim];
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
#pragma unroll
  for (int d = 0; d < kSegment; ++d) sums[warp][lane * kSegment + d] = sum[d];
  __syncthreads();
  float total = 0;
  for (const auto& part : sums) total += part[threadIdx.x];
  split_sums(scratch, unit, static_cast<int>(blockIdx.x))[threadIdx.x] = total;
}

/// The same for how many rows each warp has added, behind the elements.
template <int kWarps>
__device__ inline void store_split_count(int count, const Scratch& scratch, int unit) {
  __shared__ int counts[kWarps];
  if (threadIdx.x % kWarpLanes == 0) counts[threadIdx.x / kWarpLanes] = count;
  __syncthreads();
  if (threadIdx.x != 0) return;
  int total = 0;
  for (const int part : counts) total += part;
  split_sums(scratch, unit, static_cast<int>(blockIdx.x))[kMostDim] = static_cast<float>(total);
}

/// What was stored of all splits of `unit`: of an element, or of the count, behind them. For grids
/// of as many.
__device__ inline float split_total(const Scratch& scratch, int unit, unsigned element) {
  float total = 0;
  for (int split = 0; split < static_cast<int>(gridDim.x); ++split)
    total += split_sums(scratch, unit, split)[element];
  return total;
}

}  // namespace vase::cuda

#endif
