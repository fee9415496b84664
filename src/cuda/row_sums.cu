// Products of rows with vectors, summed up over the vectors for each row: the attention that a key
// receives from all queries (the second pass), and the squared length of a projected row (CUR). A
// warp holds its rows in registers, vectors stream by through shared memory.
#include <cuda_pipeline.h>

#include "cuda/launch.hpp"
#include "cuda/products.cuh"

namespace vase::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;
constexpr float kExp2Lowest = -126.0f;  // as score/exp2.hpp, so that no candidate's weight is 0

/// What becomes of a product of a row with a vector.
struct Attention {
  /// constants: scale of the product; maximum over the candidates; share / sum.
  __device__ static float add(float sum, float product, const float4& constants) {
    const float x = fmaf(product, constants.x, -constants.y);
    return fmaf(exp2_fast(fmaxf(x, kExp2Lowest)), constants.z, sum);
  }
};
struct Energy {
  __device__ static float add(float sum, float product, const float4& constants) {
    const float x = product * constants.x;
    return fmaf(x, x, sum);
  }
};

template <vase_type T, int kDim>
struct VectorTile {
  static constexpr int kPitch = pitch_bytes(kDim);
  alignas(16) std::byte planes[Planes<T>::kVectors][kVectorTile][kPitch];
  float4 constants[kVectorTile];

  /// Starts copying vectors [first, first + kVectorTile) of a set.
  __device__ void load(const Vectors& vectors, const Scratch& scratch, int set, int first) {
    constexpr int kPieces = kDim * 2 / 16;
    for (int at = static_cast<int>(threadIdx.x); at < Planes<T>::kVectors * kVectorTile * kPieces;
         at += kThreads) {
      const int piece = at % kPieces, v = at / kPieces % kVectorTile,
                p = at / kPieces / kVectorTile;
      __pipeline_memcpy_async(
          &planes[p][v][piece * 16],
          scratch.planes +
              ((int64_t{set} * vectors.planes + p) * vectors.padded + first + v) * kDim + piece * 8,
          16);
    }
    if (threadIdx.x < kVectorTile)
      __pipeline_memcpy_async(
          &constants[threadIdx.x],
          scratch.constants + int64_t{set} * vectors.padded + first + threadIdx.x, 16);
    __pipeline_commit();
  }
};

/// 16-row tiles that a warp holds: as many as leave registers for the rest.
template <vase_type T, int kDim>
constexpr int kRowTiles = Planes<T>::kRows* kDim <= 128 ? 2 : 1;

/// Blocks that share a multiprocessor: two where the rows leave registers for it.
template <vase_type T, int kDim>
constexpr int kBlocks = kRowTiles<T, kDim> == 2 ? 2 : 1;

/// Whose rows, and where the sums go.
struct Target {
  bool values;
  bool set_per_item;
  RowShape shape;
  float* out;
};

/// Grid: (blocks of rows, units).
template <vase_type T, int kDim, typename Use>
__global__ __launch_bounds__(kThreads, (kBlocks<T, kDim>)) void row_sums_kernel(DeviceCall call,
                                                                                Vectors vectors,
                                                                                Target target,
                                                                                Scratch scratch) {
  using P = Planes<T>;
  using Tile = VectorTile<T, kDim>;
  constexpr int kTiles = kRowTiles<T, kDim>, kChunks = kDim / kChunk;
  extern __shared__ __align__(16) std::byte shared[];
  Tile* tiles = reinterpret_cast<Tile*>(shared);

  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int block_first = static_cast<int>(blockIdx.x) * kWarps * kTiles * 16;
  if (item.active == 0 || block_first >= item.n_rows) return;
  const int set = target.set_per_item ? unit / call.n_heads : unit;
  tiles[0].load(vectors, scratch, set, 0);

  // Rows l / 4 and 8 more of each tile.
  const int first_row = block_first + warp * kTiles * 16 + lane / 4;
  uint4 rows[P::kRows][kTiles][kChunks][2];
  float scale[P::kScaled ? kTiles : 1][P::kScaled ? kChunks : 1][2];
#pragma unroll
  for (int t = 0; t < kTiles; ++t)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = first_row + t * 16 + r * 8;
      const bool there = row < item.n_rows;
      const std::byte* at =
          there ? row_of(item, target.values ? item.values : item.keys, head, row) : nullptr;
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        Segment<T> segment{};
        if (there) segment.fetch(at, c * (kChunk / kSegment) + lane % 4, target.shape);
        uint4 planes[P::kRows];
        segment.planes(planes);
#pragma unroll
        for (int p = 0; p < P::kRows; ++p) rows[p][t][c][r] = planes[p];
        if constexpr (P::kScaled) scale[t][c][r] = segment.scale();
      }
    }

  float sums[kTiles][2] = {};
  for (int first = 0, stage = 0; first < vectors.padded; first += kVectorTile, stage ^= 1) {
    __pipeline_wait_prior(0);
    __syncthreads();  // this tile has come for all threads, and all are through with the other
    if (first + kVectorTile < vectors.padded)
      tiles[stage ^ 1].load(vectors, scratch, set, first + kVectorTile);
    const Tile& tile = tiles[stage];

    float products[kTiles][4][4] = {};
#pragma unroll
    for (int c = 0; c < kChunks; ++c)
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        uint4 columns[P::kVectors];
#pragma unroll
        for (int p = 0; p < P::kVectors; ++p)
          columns[p] = *reinterpret_cast<const uint4*>(
              &tile.planes[p][n * 8 + lane / 4][c * kChunk * 2 + lane % 4 * 16]);
#pragma unroll
        for (int t = 0; t < kTiles; ++t) {
          float part[4] = {};
          float(&sum)[4] = P::kScaled ? part : products[t][n];
#pragma unroll
          for (int k = 0; k < P::kRows; ++k)
#pragma unroll
            for (int p = 0; p + k < P::kVectors; ++p)
              multiply_add_chunk<P::kHalf>(sum, rows[k][t][c][0], rows[k][t][c][1], columns[p]);
          if constexpr (P::kScaled)
#pragma unroll
            for (int i = 0; i < 4; ++i) products[t][n][i] += part[i] * scale[t][c][i / 2];
        }
      }
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const float4 even = tile.constants[n * 8 + lane % 4 * 2];
      const float4 odd = tile.constants[n * 8 + lane % 4 * 2 + 1];
#pragma unroll
      for (int t = 0; t < kTiles; ++t)
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          sums[t][r] = Use::add(sums[t][r], products[t][n][2 * r], even);
          sums[t][r] = Use::add(sums[t][r], products[t][n][2 * r + 1], odd);
        }
    }
  }

#pragma unroll
  for (int t = 0; t < kTiles; ++t)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float sum = sums[t][r];
      sum += __shfl_xor_sync(kFullWarp, sum, 1);
      sum += __shfl_xor_sync(kFullWarp, sum, 2);
      const int row = first_row + t * 16 + r * 8;
      if (lane % 4 == 0 && row < item.n_rows)
        target.out[int64_t{unit} * call.row_capacity + row] = sum;
    }
}

template <vase_type T, int kDim, typename Use>
void launch(const DeviceCall& call, const Vectors& vectors, const Target& target,
            const Scratch& scratch, cudaStream_t stream) {
  constexpr size_t kBytes = 2 * sizeof(VectorTile<T, kDim>);
  constexpr int kBlockRows = kWarps * kRowTiles<T, kDim> * 16;
  cudaFuncSetAttribute(row_sums_kernel<T, kDim, Use>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(kBytes));
  const dim3 grid(static_cast<unsigned>(divide_up(call.most_rows, kBlockRows)),
                  static_cast<unsigned>(call.units()));
  row_sums_kernel<T, kDim, Use><<<grid, kThreads, kBytes, stream>>>(call, vectors, target, scratch);
}

template <vase_type T, typename Use>
void launch(const DeviceCall& call, const Vectors& vectors, const Target& target,
            const Scratch& scratch, cudaStream_t stream) {
  switch (vectors.dim) {
    case 64:
      return launch<T, 64, Use>(call, vectors, target, scratch, stream);
    case 128:
      return launch<T, 128, Use>(call, vectors, target, scratch, stream);
    default:
      return launch<T, 256, Use>(call, vectors, target, scratch, stream);
  }
}

template <typename Use>
void launch(const DeviceCall& call, const Vectors& vectors, const Target& target,
            const Scratch& scratch, cudaStream_t stream) {
  switch (target.shape.type) {
    case VASE_F32:
      return launch<VASE_F32, Use>(call, vectors, target, scratch, stream);
    case VASE_F16:
      return launch<VASE_F16, Use>(call, vectors, target, scratch, stream);
    case VASE_BF16:
      return launch<VASE_BF16, Use>(call, vectors, target, scratch, stream);
    case VASE_Q8_0:
      return launch<VASE_Q8_0, Use>(call, vectors, target, scratch, stream);
  }
}

}  // namespace

void attention_sums(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  launch<Attention>(call, queries_of(call), {false, false, call.keys, scratch.first}, scratch,
                    stream);
}

void projected_energies(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  pack_projections(call, call.keys.type, scratch, stream);
  launch<Energy>(call, projections_of(call, call.keys.type),
                 {false, true, call.keys, scratch.first}, scratch, stream);
  // Values of another type may want other planes.
  if (call.values.type != call.keys.type) pack_projections(call, call.values.type, scratch, stream);
  launch<Energy>(call, projections_of(call, call.values.type),
                 {true, true, call.values, scratch.second}, scratch, stream);
}

}  // namespace vase::cuda
