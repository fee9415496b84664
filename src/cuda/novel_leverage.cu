// Leverage and novelty of the candidates' keys (vase-plus) on the tensor cores: the squared length
// of a key times the inverse factor of the keys' Gram matrix (leverage.cu), times how far it is
// from the nearest newer key, as score/novelty.cpp has it. A warp holds its candidates in
// registers; the rows of the factor and then the newest keys stream by through shared memory.
#include <cuda_pipeline.h>

#include <cfloat>

#include "core/leverage_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/products.cuh"
#include "cuda/upright.hpp"

namespace vase::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;
constexpr int kColumnTile = kVectorTile;  // rows of the factor, or newest keys, at a time
constexpr int kColumns = 4;               // tiles of 8 of them
static_assert(kColumnTile == kColumns * 8);

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
  __device__ const std::byte* at(int age) const { return rows + int64_t{row(age)} * kStride; }
};

/// The factor's rows, normalised: the higher plane, which is as exact as the keys are, since they
/// are less a centre.
struct FactorRows {
  const std::byte* rows;
  const float4* constants;  ///< of each: scale of the product; what is subtracted from it
  int n;                    ///< whole tiles
};

template <int kDim>
struct ColumnTile {
  alignas(16) std::byte planes[1][kColumnTile][pitch_bytes(kDim)];
  alignas(16) float4 constants[kColumnTile];  ///< of the factor's rows
  alignas(16) float squares[kColumnTile];     ///< of keys
};

/// What streams by: the factor's rows, then the keys from `newest` on.
template <int kDim>
struct Columns {
  FactorRows factor;
  Keys<kDim> keys;
  int newest;

  /// Starts copying the tile that begins at place `first`, if there is one. A thread takes the same
  /// 16 bytes of several columns.
  __device__ void load(ColumnTile<kDim>& tile, int first) const {
    constexpr int kPieces = kDim * 2 / 16;
    const int thread = static_cast<int>(threadIdx.x);
    const int piece = thread % kPieces * 16, place = thread / kPieces;
    const int age = newest + first - factor.n;
    const auto copy = [&](auto row_at) {
#pragma unroll
      for (int i = 0; i < kColumnTile; i += kThreads / kPieces)
        __pipeline_memcpy_async(&tile.planes[0][place + i][piece], row_at(place + i) + piece, 16);
    };
    if (first < factor.n) {
      copy([&](int i) { return factor.rows + (first + i) * (kDim * 2); });
      if (thread < kColumnTile)
        __pipeline_memcpy_async(&tile.constants[thread], factor.constants + first + thread, 16);
    } else if (age < keys.n) {
      copy([&](int i) { return keys.at(age + i); });
      if (thread < kColumnTile)
        __pipeline_memcpy_async(&tile.squares[thread], keys.squares + keys.row(age + thread), 4);
    }
    __pipeline_commit();
  }
};

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

/// The candidates times a tile's columns, by the first `chunks` chunks of their elements.
template <int kDim>
__device__ inline void multiply(const Candidates<kDim>& candidates, const ColumnTile<kDim>& tile,
                                int chunks, float (&products)[kRowTiles<kDim>][kColumns][4]) {
#pragma unroll
  for (int c = 0; c < kDim / kChunk; ++c) {
    if (c >= chunks) break;
    uint4 columns[1][kColumns];
    load_columns(tile.planes, 0, c, columns);
    multiply_chunk<true, 1>(candidates.planes, c, columns, products);
  }
}

/// energies += squares of the candidates' products with a tile of the factor, whose row i has zeros
/// behind element i. first: the tile's first row.
template <int kDim>
__device__ inline void add_energies(const Candidates<kDim>& candidates,
                                    const ColumnTile<kDim>& tile, int first,
                                    PerRow<kDim>& energies) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  float products[kRowTiles<kDim>][kColumns][4] = {};
  multiply<kDim>(candidates, tile, divide_up(first + kColumnTile, kChunk), products);
#pragma unroll
  for (int n = 0; n < kColumns; ++n)
#pragma unroll
    for (int odd = 0; odd < 2; ++odd) {
      const float4 constants = tile.constants[n * 8 + lane % 4 * 2 + odd];
#pragma unroll
      for (int t = 0; t < kRowTiles<kDim>; ++t)
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          const float x = fmaf(products[t][n][2 * r + odd], constants.x, -constants.y);
          energies[t][r] = fmaf(x, x, energies[t][r]);
        }
    }
}

/// least = the lower of it and the squared distances to a tile's keys that are newer, less the
/// candidate's own squared length. first_row, first_column: ages. kAllNewer: all keys are.
template <int kDim, bool kAllNewer>
__device__ inline void approach(const Candidates<kDim>& candidates, const Keys<kDim>& keys,
                                const ColumnTile<kDim>& tile, int first_row, int first_column,
                                PerRow<kDim>& least) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  float products[kRowTiles<kDim>][kColumns][4] = {};
  multiply<kDim>(candidates, tile, kDim / kChunk, products);
#pragma unroll
  for (int n = 0; n < kColumns; ++n) {
    const int column = n * 8 + lane % 4 * 2;
    const float2 squares = *reinterpret_cast<const float2*>(&tile.squares[column]);
#pragma unroll
    for (int t = 0; t < kRowTiles<kDim>; ++t)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int row = first_row + t * 16 + r * 8;
        const float even = fmaf(-2.0f, products[t][n][2 * r], squares.x);
        const float odd = fmaf(-2.0f, products[t][n][2 * r + 1], squares.y);
        if (kAllNewer || keys.row(first_column + column) > row)
          least[t][r] = fminf(least[t][r], even);
        if (kAllNewer || keys.row(first_column + column + 1) > row)
          least[t][r] = fminf(least[t][r], odd);
      }
  }
}

/// Of upright items. Grid: (blocks of candidates, units).
template <int kDim>
__global__ __launch_bounds__(kThreads, 2) void novel_leverage_kernel(DeviceCall call,
                                                                     Vectors factors,
                                                                     Scratch scratch) {
  constexpr int kAhead = kStages<kDim> - 1;
  __shared__ ColumnTile<kDim> tiles[kStages<kDim>];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kWarpLanes, warp = thread / kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int n_candidates = candidates_of(call, item);
  const int block_first = static_cast<int>(blockIdx.x) * kBlockRows<kDim>;
  if (item.active == 0 || block_first >= n_candidates) return;
  const int64_t planes_first = int64_t{unit} * factors.planes * factors.plane_elements();
  const Columns<kDim> columns{
      .factor = {reinterpret_cast<const std::byte*>(scratch.planes + planes_first),
                 scratch.constants + int64_t{unit} * factors.padded, factors.padded},
      .keys = {item.keys.data + head * item.keys.head_stride, upright_squares(call, scratch, unit),
               item.n_rows},
      .newest = item.n_rows - min(kNoveltyRows, item.n_rows)};
  const Keys<kDim>& keys = columns.keys;
  for (int stage = 0; stage < kAhead; ++stage) columns.load(tiles[stage], stage * kColumnTile);
  const int first_row = block_first + warp * kRowTiles<kDim> * 16 + lane / 4;
  Candidates<kDim> candidates;
  candidates.load(keys, first_row);

  PerRow<kDim> energies = {}, least;
  for (auto& tile : least) tile[0] = tile[1] = FLT_MAX;
  const bool all_newer = block_first + kBlockRows<kDim> <= columns.newest;
  const int end = columns.factor.n + item.n_rows - columns.newest;
  for (int first = 0, stage = 0; first < end;
       first += kColumnTile, stage = (stage + 1) % kStages<kDim>) {
    __pipeline_wait_prior(kAhead - 1);
    __syncthreads();  // this tile has come for all threads, and all are through with the last one
    columns.load(tiles[(stage + kAhead) % kStages<kDim>], first + kAhead * kColumnTile);
    const int age = columns.newest + first - columns.factor.n;
    if (first < columns.factor.n)
      add_energies<kDim>(candidates, tiles[stage], first, energies);
    else if (all_newer)
      approach<kDim, true>(candidates, keys, tiles[stage], first_row, age, least);
    else
      approach<kDim, false>(candidates, keys, tiles[stage], first_row, age, least);
  }

  const int64_t unit_first = int64_t{unit} * call.row_capacity;
#pragma unroll
  for (int t = 0; t < kRowTiles<kDim>; ++t)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float apart = least[t][r], leverage = energies[t][r];
      for (int step = 1; step <= 2; step *= 2) {
        apart = fminf(apart, __shfl_xor_sync(kFullWarp, apart, step));
        leverage += __shfl_xor_sync(kFullWarp, leverage, step);
      }
      const int row = first_row + t * 16 + r * 8;
      if (lane % 4 != 0 || row >= n_candidates) continue;
      if (apart < FLT_MAX) apart = fmaxf(0.0f, apart + keys.squares[row]);
      scratch.first[unit_first + scratch.order[unit_first + row]] =
          bounded_leverage(leverage) * apart;
    }
}

}  // namespace

void novel_leverages(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  with_dim(padded_dim(call.keys.dim), [&]<int kDim>() {
    const dim3 grid(static_cast<unsigned>(divide_up(call.most_rows, kBlockRows<kDim>)),
                    static_cast<unsigned>(call.units()));
    novel_leverage_kernel<kDim>
        <<<grid, kThreads, 0, stream>>>(call, factors_of(call, call.keys), scratch);
  });
}

}  // namespace vase::cuda
