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

/// The elements of a row that a lane has: of each piece the segment of its number.
template <int kPieces>
using LaneRow = float[kPieces * kSegment];

/// The place in the row of element `d` of a lane's.
__device__ inline int place_of(int d) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  return (d / kSegment * kWarpLanes + lane) * kSegment + d % kSegment;
}

/// A lane's part of the row, zeros beyond its end.
template <vase_type T, int kPieces>
__device__ inline void read_row(const std::byte* row, const RowShape& shape, LaneRow<kPieces>& x) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece) {
    const int at = piece * kWarpLanes + lane;
    Segment<T> segment{};
    if (at * kSegment < shape.dim) segment.fetch(row, at, shape);
    float own[kSegment];
    segment.values(own);
#pragma unroll
    for (int d = 0; d < kSegment; ++d) x[piece * kSegment + d] = own[d];
  }
}

/// Calls use(row, x) for each of the warp's rows of the split blockIdx.x, x as read_row() gives it.
template <vase_type T, int kPieces, int kWarps, typename Use>
__device__ inline void for_split_rows(const DeviceItem& item, const DeviceRows& rows,
                                      const RowShape& shape, int head, const Use& use) {
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const int begin = static_cast<int>(blockIdx.x) * kSplitRows;
  const int end = min(item.n_rows, begin + kSplitRows);
#pragma unroll 4
  for (int row = begin + warp; row < end; row += kWarps) {
    LaneRow<kPieces> x;
    read_row<T, kPieces>(row_of(item, rows, head, row), shape, x);
    use(row, x);
  }
}

/// A split's part of scratch.row_sums, for a grid of as many splits.
template <int kPieces>
__device__ inline float* split_sums(const Scratch& scratch, int unit, int split) {
  return scratch.row_sums + (int64_t{unit} * gridDim.x + split) * row_sums(kPieces);
}

/// Adds up the `sum`s of a block's warps, of a row each, to scratch.row_sums of the split
/// blockIdx.x of `unit`.
template <int kPieces, int kWarps>
__device__ inline void store_split_sum(const LaneRow<kPieces>& sum, const Scratch& scratch,
                                       int unit) {
  constexpr int kElements = kPieces * kPiece;
  __shared__ float sums[kWarps][kElements];
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
#pragma unroll
  for (int d = 0; d < kPieces * kSegment; ++d) sums[warp][place_of(d)] = sum[d];
  __syncthreads();
  float* to = split_sums<kPieces>(scratch, unit, static_cast<int>(blockIdx.x));
  for (int i = static_cast<int>(threadIdx.x); i < kElements; i += kWarps * kWarpLanes) {
    float total = 0;
    for (const auto& part : sums) total += part[i];
    to[i] = total;
  }
}

/// The same for how many rows each warp has added, behind the elements.
template <int kPieces, int kWarps>
__device__ inline void store_split_count(int count, const Scratch& scratch, int unit) {
  __shared__ int counts[kWarps];
  if (threadIdx.x % kWarpLanes == 0) counts[threadIdx.x / kWarpLanes] = count;
  __syncthreads();
  if (threadIdx.x != 0) return;
  int total = 0;
  for (const int part : counts) total += part;
  split_sums<kPieces>(scratch, unit, static_cast<int>(blockIdx.x))[kPieces * kPiece] =
      static_cast<float>(total);
}

/// What was stored of all splits of `unit`: of an element, or of the count, behind them. For grids
/// of as many.
template <int kPieces>
__device__ inline float split_total(const Scratch& scratch, int unit, int element) {
  float total = 0;
  for (int split = 0; split < static_cast<int>(gridDim.x); ++split)
    total += split_sums<kPieces>(scratch, unit, split)[element];
  return total;
}

/// Calls use.operator()<T, pieces>() for rows of `shape`.
template <typename Use>
void with_pieces(const RowShape& shape, const Use& use) {
  with_type(shape.type, [&]<vase_type T>() {
    if (padded_pieces(shape.dim) == 1)
      use.template operator()<T, 1>();
    else
      use.template operator()<T, kMostPieces>();
  });
}

}  // namespace vase::cuda

#endif
