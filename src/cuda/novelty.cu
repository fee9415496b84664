// The novelty of the candidates' keys on the tensor cores: how far each is from newer
// keys, as score/novelty.cpp has it. A warp holds its candidates in registers; the newest keys
// stream by through shared memory.
#include <cuda_pipeline.h>

#include "core/novelty_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/products.cuh"
#include "cuda/upright.hpp"

namespace vase::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;
constexpr int kColumns = 4;  // tiles of 8 keys that stream by together
constexpr int kColumnTile = kColumns * 8;

/// Tiles of 16 candidates of a warp: as many as leave registers for the products.
template <int kDim>
constexpr int kRowTiles = kDim <= 128 ? 2 : 1;
template <int kDim>
constexpr int kBlockRows = kWarps* kRowTiles<kDim> * 16;
/// Tiles in shared memory: one at work, the others on their way.
template <int kDim>
constexpr int kStages = kDim <= 128 ? 4 : 2;

/// The upright keys of a unit, by age, and their squared lengths.
template <int kDim>
struct Keys {
  static constexpr int kStride = upright_pitch(kDim) * 2;  // bytes
  const std::byte* rows;
  const float* squares;
  int n;

  /// The newest row stands for those beyond it.
  __device__ int row(int age) const { return min(age, n - 1); }
  __device__ bool is_newer(int age, int than) const { return age > than && age < n; }
  __device__ const std::byte* at(int age) const { return rows + int64_t{row(age)} * kStride; }
};

template <int kDim>
struct ColumnTile {
  alignas(16) std::byte planes[1][kColumnTile][pitch_bytes(kDim)];
  alignas(16) float squares[kColumnTile];
};

/// Starts copying the tile of keys that begins at `age`, if there is one. A thread takes the same
/// 16 bytes of several keys.
template <int kDim>
__device__ inline void load(const Keys<kDim>& keys, int age, ColumnTile<kDim>& tile) {
  constexpr int kPieces = kDim * 2 / 16;
  const int thread = static_cast<int>(threadIdx.x);
  const int piece = thread % kPieces * 16, place = thread / kPieces;
  if (age < keys.n) {
#pragma unroll
    for (int i = 0; i < kColumnTile; i += kThreads / kPieces)
      __pipeline_memcpy_async(&tile.planes[0][place + i][piece], keys.at(age + place + i) + piece,
                              16);
    if (thread < kColumnTile)
      __pipeline_memcpy_async(&tile.squares[thread], keys.squares + keys.row(age + thread), 4);
  }
  __pipeline_commit();
}

/// A warp's candidates: of each tile the rows l / 4 and 8 more.
template <int kDim>
struct Candidates {
  uint4 planes[1][kRowTiles<kDim>][kDim / kChunk][2];

  __device__ void load(const Keys<kDim>& keys, int first) {
    const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
#pragma unroll
    for (int t = 0; t < kRowTiles<kDim>; ++t)
#pragma unroll
      for (int r = 0; r < 2; ++r)
#pragma unroll
        for (int c = 0; c < kDim / kChunk; ++c)
          planes[0][t][c][r] = *reinterpret_cast<const uint4*>(keys.at(first + t * 16 + r * 8) +
                                                               c * kChunk * 2 + lane % 4 * 16);
  }
};

/// A number for each row of a lane.
template <int kDim>
using PerRow = float[kRowTiles<kDim>][2];

/// The candidates times a tile's keys.
template <int kDim>
__device__ inline void multiply(const Candidates<kDim>& candidates, const ColumnTile<kDim>& tile,
                                float (&products)[kRowTiles<kDim>][kColumns][4]) {
#pragma unroll
  for (int c = 0; c < kDim / kChunk; ++c) {
    uint4 columns[1][kColumns];
    load_columns(tile.planes, 0, c, columns);
    multiply_chunk<true, 1>(candidates.planes, c, columns, products);
  }
}

/// 1 / sqrt(square)^6, square at least `least`; 0 for infinity.
__device__ inline float nearness(float square, float least) {
  const float inverse = __fdividef(1.0f, square < least ? least : square);
  return inverse * inverse * inverse;
}

/// crowds += d^-6 for the distances d to a tile's keys that are newer. own: the candidates' squared
/// lengths. first_row, first_column: ages. kAllNewer: there are as many keys and all are newer.
template <int kDim, bool kAllNewer>
__device__ inline void approach(const Candidates<kDim>& candidates, const Keys<kDim>& keys,
                                const ColumnTile<kDim>& tile, int first_row, int first_column,
                                float least, const PerRow<kDim>& own, PerRow<kDim>& crowds) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  float products[kRowTiles<kDim>][kColumns][4] = {};
  multiply<kDim>(candidates, tile, products);
#pragma unroll
  for (int n = 0; n < kColumns; ++n) {
    const int column = n * 8 + lane % 4 * 2;
    const float2 squares = *reinterpret_cast<const float2*>(&tile.squares[column]);
#pragma unroll
    for (int t = 0; t < kRowTiles<kDim>; ++t)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int row = first_row + t * 16 + r * 8;
        const float even = fmaf(-2.0f, products[t][n][2 * r], own[t][r] + squares.x);
        const float odd = fmaf(-2.0f, products[t][n][2 * r + 1], own[t][r] + squares.y);
        if (kAllNewer || keys.is_newer(first_column + column, row))
          crowds[t][r] += nearness(even, least);
        if (kAllNewer || keys.is_newer(first_column + column + 1, row))
          crowds[t][r] += nearness(odd, least);
      }
  }
}

/// Of upright items. Grid: (blocks of candidates, units).
template <int kDim>
__global__ __launch_bounds__(kThreads, 2) void novelty_kernel(DeviceCall call, Scratch scratch) {
  constexpr int kAhead = kStages<kDim> - 1;
  __shared__ ColumnTile<kDim> tiles[kStages<kDim>];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kWarpLanes, warp = thread / kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int n_candidates = candidates_of(call, item);
  const int block_first = static_cast<int>(blockIdx.x) * kBlockRows<kDim>;
  if (item.active == 0 || block_first >= n_candidates) return;
  const Keys<kDim> keys{item.keys.data + head * item.keys.head_stride,
                        upright_squares(call, scratch, unit), item.n_rows};
  const int newest = max(0, item.n_rows - kNoveltyRows);
  for (int stage = 0; stage < kAhead; ++stage)
    load(keys, newest + stage * kColumnTile, tiles[stage]);
  const int first_row = block_first + warp * kRowTiles<kDim> * 16 + lane / 4;
  Candidates<kDim> candidates;
  candidates.load(keys, first_row);

  const KeyScale scale = scratch.key_scales[unit];
  PerRow<kDim> own, crowds = {};
#pragma unroll
  for (int t = 0; t < kRowTiles<kDim>; ++t)
#pragma unroll
    for (int r = 0; r < 2; ++r) own[t][r] = keys.squares[keys.row(first_row + t * 16 + r * 8)];
  const bool all_newer = block_first + kBlockRows<kDim> <= newest;
  for (int first = newest, stage = 0; first < item.n_rows;
       first += kColumnTile, stage = (stage + 1) % kStages<kDim>) {
    __pipeline_wait_prior(kAhead - 1);
    __syncthreads();  // this tile has come for all threads, and all are through with the last one
    load(keys, first + kAhead * kColumnTile, tiles[(stage + kAhead) % kStages<kDim>]);
    if (all_newer)
      approach<kDim, true>(candidates, keys, tiles[stage], first_row, first, scale.least, own,
                           crowds);
    else
      approach<kDim, false>(candidates, keys, tiles[stage], first_row, first, scale.least, own,
                            crowds);
  }

  const int64_t unit_first = int64_t{unit} * call.row_capacity;
#pragma unroll
  for (int t = 0; t < kRowTiles<kDim>; ++t)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float crowd = crowds[t][r];
      for (int step = 1; step <= 2; step *= 2) crowd += __shfl_xor_sync(kFullWarp, crowd, step);
      const int row = first_row + t * 16 + r * 8;
      if (lane % 4 != 0 || row >= n_candidates) continue;
      const float novelty = rcbrtf(crowd < kLeastCrowd ? kLeastCrowd : crowd);
      scratch.first[unit_first + scratch.order[unit_first + row]] =
          isinf(own[t][r]) ? NAN : novelty / (scale.factor * scale.factor);
    }
}

}  // namespace

void novelties(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  UprightKeys keys(call, scratch, stream);
  for (int32_t i = 0; i < keys.chunks(); ++i) {
    const UprightKeys::Chunk chunk = keys.turn_back(i);
    with_dim(padded_dim(call.keys.dim), [&]<int kDim>() {
      const dim3 grid(static_cast<unsigned>(divide_up(call.most_rows, kBlockRows<kDim>)),
                      static_cast<unsigned>(chunk.call.units()));
      novelty_kernel<kDim><<<grid, kThreads, 0, stream>>>(chunk.call, chunk.scratch);
    });
  }
}

}  // namespace vase::cuda
