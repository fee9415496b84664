// How far each candidate's key is from the nearest newer one (vase-plus), as score/novelty.cpp has
// it, on the tensor cores. A warp holds its candidates in registers, the newest rows stream by
// through shared memory.
#include <cuda_pipeline.h>

#include <cfloat>

#include "core/leverage_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/products.cuh"
#include "cuda/upright.hpp"

namespace vase::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;
constexpr int kColumnTile = 32;  // newest rows in shared memory at a time
constexpr int kColumns = 4;      // tiles of 8 of them
static_assert(kColumnTile == kColumns * 8);

/// Tiles of 16 candidates of a warp: as many as leave registers for the products.
template <int kDim>
constexpr int kRowTiles = kDim <= 128 ? 2 : 1;
template <int kDim>
constexpr int kBlockRows = kWarps* kRowTiles<kDim> * 16;

/// Tiles of newest rows in shared memory: one at work, the others on their way.
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

template <int kDim>
struct ColumnTile {
  static constexpr int kPieces = kDim * 2 / 16;  // of 16 bytes, of a row
  alignas(16) std::byte planes[1][kColumnTile][pitch_bytes(kDim)];
  alignas(16) float squares[kColumnTile];

  /// Starts copying the rows from `first` on, if there are any. A thread takes the same piece of
  /// several rows.
  __device__ void load(const Keys<kDim>& keys, int first) {
    const int thread = static_cast<int>(threadIdx.x);
    const int piece = thread % kPieces * 16, place = thread / kPieces;
    if (first < keys.n) {
#pragma unroll
      for (int i = 0; i < kColumnTile; i += kThreads / kPieces)
        __pipeline_memcpy_async(&planes[0][place + i][piece], keys.at(first + place + i) + piece,
                                16);
      if (thread < kColumnTile)
        __pipeline_memcpy_async(&squares[thread], keys.squares + keys.row(first + thread), 4);
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

/// least = the lower of it and the squared distances to a tile's rows that are newer, less the
/// candidate's own squared length. first_row, first_column: ages. kAllNewer: all rows are.
template <int kDim, bool kAllNewer>
__device__ inline void approach(const Candidates<kDim>& candidates, const Keys<kDim>& keys,
                                const ColumnTile<kDim>& tile, int first_row, int first_column,
                                float (&least)[kRowTiles<kDim>][2]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  float products[kRowTiles<kDim>][kColumns][4] = {};
#pragma unroll
  for (int c = 0; c < kDim / kChunk; ++c) {
    uint4 columns[1][kColumns];
    load_columns(tile.planes, 0, c, columns);
    multiply_chunk<true, 1>(candidates.planes, c, columns, products);
  }
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
__global__ __launch_bounds__(kThreads, 2) void novelty_kernel(DeviceCall call, Scratch scratch) {
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
  const int newest = item.n_rows - min(kNoveltyRows, item.n_rows);
  for (int stage = 0; stage < kStages<kDim> - 1; ++stage)
    tiles[stage].load(keys, newest + stage * kColumnTile);
  const int first_row = block_first + warp * kRowTiles<kDim> * 16 + lane / 4;
  Candidates<kDim> candidates;
  candidates.load(keys, first_row);

  float least[kRowTiles<kDim>][2];
  for (auto& tile : least) tile[0] = tile[1] = FLT_MAX;
  const bool all_newer = block_first + kBlockRows<kDim> <= newest;
  for (int first = newest, stage = 0; first < item.n_rows;
       first += kColumnTile, stage = (stage + 1) % kStages<kDim>) {
    __pipeline_wait_prior(kStages<kDim> - 2);
    __syncthreads();  // this tile has come for all threads, and all are through with the last one
    tiles[(stage + kStages<kDim> - 1) % kStages<kDim>].load(
        keys, first + (kStages<kDim> - 1) * kColumnTile);
    if (all_newer)
      approach<kDim, true>(candidates, keys, tiles[stage], first_row, first, least);
    else
      approach<kDim, false>(candidates, keys, tiles[stage], first_row, first, least);
  }

  const int64_t unit_first = int64_t{unit} * call.row_capacity;
#pragma unroll
  for (int t = 0; t < kRowTiles<kDim>; ++t)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float apart = least[t][r];
      apart = fminf(apart, __shfl_xor_sync(kFullWarp, apart, 1));
      apart = fminf(apart, __shfl_xor_sync(kFullWarp, apart, 2));
      const int row = first_row + t * 16 + r * 8;
      if (lane % 4 != 0 || row >= n_candidates) continue;
      if (apart < FLT_MAX) apart = fmaxf(0.0f, apart + keys.squares[row]);
      float& leverage = scratch.first[unit_first + scratch.order[unit_first + row]];
      leverage = bounded_leverage(leverage) * apart;
    }
}

template <int kDim>
void launch(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(divide_up(call.most_rows, kBlockRows<kDim>)),
                  static_cast<unsigned>(call.units()));
  novelty_kernel<kDim><<<grid, kThreads, 0, stream>>>(call, scratch);
}

}  // namespace

void weigh_by_novelty(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const int dim = padded_dim(call.keys.dim);
  if (dim == 64)
    launch<64>(call, scratch, stream);
  else if (dim == 128)
    launch<128>(call, scratch, stream);
  else
    launch<256>(call, scratch, stream);
}

}  // namespace vase::cuda
