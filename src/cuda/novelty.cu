// The novelty of the candidates' keys on the tensor cores: how far each is from newer
// keys, as score/novelty.cpp has it. A warp holds its candidates in registers; the newest keys
// stream by through shared memory.
#include <cuda_pipeline.h>

#include "core/novelty_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/products.cuh"
#include "cuda/streamed.cuh"
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
struct Keys {
  int stride;  ///< bytes
  const std::byte* rows;
  const float* squares;
  int n;

  /// The newest row stands for those beyond it.
  __device__ int row(int age) const { return min(age, n - 1); }
  __device__ bool is_newer(int age, int than) const { return age > than && age < n; }
  __device__ const std::byte* at(int age) const { return rows + int64_t{row(age)} * stride; }
};

template <int kDim>
struct ColumnTile {
  alignas(16) std::byte planes[1][kColumnTile][pitch_bytes(kDim)];
  alignas(16) float squares[kColumnTile];
};

/// Starts copying the tile of keys that begins at `age`, if there is one. A thread takes the same
/// 16 bytes of several keys.
template <int kDim>
__device__ inline void load(const Keys& keys, int age, ColumnTile<kDim>& tile) {
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

  __device__ void load(const Keys& keys, int first) {
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
template <int kTiles>
using PerRow = float[kTiles][2];

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

/// crowds += d^-6 for the distances d to a tile's keys that are newer. products: of candidates and
/// keys; own: the candidates' squared lengths; squares_at(column): those of two keys of the tile;
/// first_row, first_column: ages. kAllNewer: there are as many keys and all are newer.
template <bool kAllNewer, int kTiles, typename SquaresAt>
__device__ inline void approach(const float (&products)[kTiles][kColumns][4], const Keys& keys,
                                int first_row, int first_column, float least,
                                const PerRow<kTiles>& own, const SquaresAt& squares_at,
                                PerRow<kTiles>& crowds) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
#pragma unroll
  for (int n = 0; n < kColumns; ++n) {
    const int column = n * 8 + lane % 4 * 2;
    const float2 squares = squares_at(column);
#pragma unroll
    for (int t = 0; t < kTiles; ++t)
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

/// Joins the lanes' crowds and writes the candidates' novelties.
template <int kTiles>
__device__ inline void store_novelties(const DeviceCall& call, const Scratch& scratch, int unit,
                                       int first_row, int n_candidates, const PerRow<kTiles>& own,
                                       const PerRow<kTiles>& crowds) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const float factor = scratch.key_scales[unit].factor;
  const int64_t unit_first = int64_t{unit} * call.row_capacity;
#pragma unroll
  for (int t = 0; t < kTiles; ++t)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float crowd = crowds[t][r];
      for (int step = 1; step <= 2; step *= 2) crowd += __shfl_xor_sync(kFullWarp, crowd, step);
      const int row = first_row + t * 16 + r * 8;
      if (lane % 4 != 0 || row >= n_candidates) continue;
      const float novelty = rcbrtf(crowd < kLeastCrowd ? kLeastCrowd : crowd);
      scratch.first[unit_first + scratch.order[unit_first + row]] =
          isinf(own[t][r]) ? NAN : novelty / (factor * factor);
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
  constexpr int kStride = upright_pitch(kDim) * 2;
  const Keys keys{kStride, item.keys.data + head * item.keys.head_stride,
                  upright_squares(call, scratch, unit), item.n_rows};
  const int newest = max(0, item.n_rows - kNoveltyRows);
  for (int stage = 0; stage < kAhead; ++stage)
    load(keys, newest + stage * kColumnTile, tiles[stage]);
  const int first_row = block_first + warp * kRowTiles<kDim> * 16 + lane / 4;
  Candidates<kDim> candidates;
  candidates.load(keys, first_row);

  const float least = scratch.key_scales[unit].least;
  PerRow<kRowTiles<kDim>> own, crowds = {};
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
    const ColumnTile<kDim>& tile = tiles[stage];
    float products[kRowTiles<kDim>][kColumns][4] = {};
    multiply<kDim>(candidates, tile, products);
    const auto squares_at = [&](int column) {
      return *reinterpret_cast<const float2*>(&tile.squares[column]);
    };
    if (all_newer)
      approach<true>(products, keys, first_row, first, least, own, squares_at, crowds);
    else
      approach<false>(products, keys, first_row, first, least, own, squares_at, crowds);
  }
  store_novelties(call, scratch, unit, first_row, n_candidates, own, crowds);
}

/// The same of streamed operands. Grid: (blocks of candidates, units).
__global__ __launch_bounds__(kThreads) void streamed_novelty(DeviceCall call, Scratch scratch) {
  static_assert(kColumns == kStreamedColumns);
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int n_candidates = candidates_of(call, item);
  const int warp_first = (static_cast<int>(blockIdx.x) * kWarps + warp) * kStreamedRows;
  if (item.active == 0 || warp_first >= n_candidates) return;
  const Keys keys{call.keys.dim * 2, item.keys.data + head * item.keys.head_stride,
                  upright_squares(call, scratch, unit), item.n_rows};
  const int first_row = warp_first + lane / 4;
  const float least = scratch.key_scales[unit].least;
  StreamedRows rows;
  PerRow<kStreamedTiles> own, crowds = {};
#pragma unroll
  for (int t = 0; t < kStreamedTiles; ++t)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      rows[t][r] = keys.at(first_row + t * 16 + r * 8);
      own[t][r] = keys.squares[keys.row(first_row + t * 16 + r * 8)];
    }
  for (int first = max(0, item.n_rows - kNoveltyRows); first < item.n_rows;
       first += kStreamedVectors) {
    StreamedVectors columns;
#pragma unroll
    for (int n = 0; n < kStreamedColumns; ++n)
      columns[n] = reinterpret_cast<const uint16_t*>(keys.at(first + n * 8 + lane / 4)) +
                   lane % 4 * kSegment;
    StreamedProducts products = {};
    unsigned spoilt;  // none is: such rows are 0 here, and infinitely long
    multiply_streamed<VASE_F16, 1, 1>(rows, call.keys, columns, 0, products, spoilt);
    const auto squares_at = [&](int column) {
      return float2{keys.squares[keys.row(first + column)],
                    keys.squares[keys.row(first + column + 1)]};
    };
    approach<false>(products, keys, first_row, first, least, own, squares_at, crowds);
  }
  store_novelties(call, scratch, unit, first_row, n_candidates, own, crowds);
}

}  // namespace

void novelties(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  UprightKeys keys(call, scratch, stream);
  for (int32_t i = 0; i < keys.chunks(); ++i) {
    const UprightKeys::Chunk chunk = keys.turn_back(i);
    if (call.keys.dim > kPiece) {
      const dim3 grid(static_cast<unsigned>(divide_up(call.most_rows, kWarps * kStreamedRows)),
                      static_cast<unsigned>(chunk.call.units()));
      streamed_novelty<<<grid, kThreads, 0, stream>>>(chunk.call, chunk.scratch);
      continue;
    }
    with_dim(padded_dim(call.keys.dim), [&]<int kDim>() {
      const dim3 grid(static_cast<unsigned>(divide_up(call.most_rows, kBlockRows<kDim>)),
                      static_cast<unsigned>(chunk.call.units()));
      novelty_kernel<kDim><<<grid, kThreads, 0, stream>>>(chunk.call, chunk.scratch);
    });
  }
}

}  // namespace vase::cuda
