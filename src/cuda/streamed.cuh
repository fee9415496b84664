// Products of rows with vectors, both read where they lie: for rows too wide for the registers of a
// warp, and for devices whose blocks of threads share too little memory for a tile of the others.
// Neither needs shared memory. What several warps read comes from the L1 cache.
#ifndef VASE_CUDA_STREAMED_CUH
#define VASE_CUDA_STREAMED_CUH

#include "cuda/products.cuh"

namespace vase::cuda {

constexpr int kStreamedTiles = 2;    // of 16 rows, of a warp
constexpr int kStreamedColumns = 4;  // tiles of 8 vectors at a time
constexpr int kStreamedRows = kStreamedTiles * 16;
constexpr int kStreamedVectors = kStreamedColumns * 8;
static_assert(kVectorTile % kStreamedVectors == 0);

using StreamedProducts = float[kStreamedTiles][kStreamedColumns][4];

/// Where a lane reads: rows l / 4 and 8 more of each tile; vector l / 4 of each tile, from the
/// lane's first segment on.
using StreamedRows = const std::byte* [kStreamedTiles][2];
using StreamedVectors = const uint16_t* [kStreamedColumns];

/// A lane's vectors [first, first + kStreamedVectors) of a set that begins at `planes`.
__device__ inline void find_vectors(const uint16_t* planes, int dim, int first,
                                    StreamedVectors& at) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
#pragma unroll
  for (int n = 0; n < kStreamedColumns; ++n)
    at[n] = planes + int64_t{first + n * 8 + lane / 4} * dim + lane % 4 * kSegment;
}

/// products += rows of `shape` times vectors of kVectors planes, `plane_elements` apart, over the
/// pairs of planes that count. spoilt: bit 2 t + r is set if row r of tile t is not finite, for all
/// lanes of the row.
template <vase_type T, int kVectors, int kPairs>
__device__ inline void multiply_streamed(const StreamedRows& rows, const RowShape& shape,
                                         const StreamedVectors& vectors, int64_t plane_elements,
                                         StreamedProducts& products, unsigned& spoilt) {
  using P = Planes<T>;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  spoilt = 0;
  for (int c = 0; c * kChunk < shape.dim; ++c) {
    uint4 columns[kVectors][kStreamedColumns];
#pragma unroll
    for (int p = 0; p < kVectors; ++p)
#pragma unroll
      for (int n = 0; n < kStreamedColumns; ++n)
        columns[p][n] =
            *reinterpret_cast<const uint4*>(vectors[n] + p * plane_elements + c * kChunk);
    uint4 held[P::kRows][kStreamedTiles][1][2];
    float scale[kStreamedTiles][2];
#pragma unroll
    for (int t = 0; t < kStreamedTiles; ++t)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        Segment<T> segment{};
        segment.fetch(rows[t][r], c * (kChunk / kSegment) + lane % 4, shape);
        if (!segment.is_finite()) spoilt |= 1u << (2 * t + r);
        uint4 split[P::kRows];
        segment.planes(split);
#pragma unroll
        for (int p = 0; p < P::kRows; ++p) held[p][t][0][r] = split[p];
        scale[t][r] = segment.scale();
      }
    StreamedProducts parts = {};
    multiply_chunk<P::kHalf, kPairs>(held, 0, columns, P::kScaled ? parts : products);
    if constexpr (P::kScaled)
#pragma unroll
      for (int t = 0; t < kStreamedTiles; ++t)
#pragma unroll
        for (int n = 0; n < kStreamedColumns; ++n)
#pragma unroll
          for (int i = 0; i < 4; ++i) products[t][n][i] += parts[t][n][i] * scale[t][i / 2];
  }
  spoilt |= __shfl_xor_sync(kFullWarp, spoilt, 1);
  spoilt |= __shfl_xor_sync(kFullWarp, spoilt, 2);
}

}  // namespace vase::cuda

#endif
