// Products of rows with vectors, summed up over the vectors for each row: the attention that a key
// receives from all queries (the second pass), and the squared length of a row that is projected
// (CUR). A warp holds its rows in registers, vectors stream by through shared memory.
#include <cuda_pipeline.h>

#include <type_traits>

#include "cuda/launch.hpp"
#include "cuda/products.cuh"
#include "cuda/streamed.cuh"

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
  /// constants: scale of the product.
  __device__ static float add(float sum, float product, const float4& constants) {
    const float x = product * constants.x;
    return fmaf(x, x, sum);
  }
};

template <vase_type T, int kDim>
struct VectorTile {
  static constexpr int kPlanes = Planes<T>::kVectors, kPitch = pitch_bytes(kDim);
  alignas(16) std::byte planes[kPlanes][kVectorTile][kPitch];
  float4 constants[kVectorTile];
};

/// Brings the vectors of a set into shared memory, tile by tile. A thread brings the same 16 bytes
/// of several vectors.
template <vase_type T, int kDim>
class VectorLoader {
 public:
  __device__ VectorLoader(const Vectors& vectors, const Scratch& scratch, int set)
      : plane_bytes_(vectors.plane_elements() * kBytes), left_(vectors.padded) {
    const int64_t first = int64_t{set} * vectors.planes * vectors.plane_elements();
    const int mine = (place() * kDim + piece() * 16 / kBytes);
    from_ = reinterpret_cast<const std::byte*>(scratch.planes + first + mine);
    constants_ = scratch.constants + int64_t{set} * vectors.padded + threadIdx.x;
  }

  /// Starts copying the next tile, if there is one.
  __device__ void load(VectorTile<T, kDim>& tile) {
    if (left_ > 0) {
#pragma unroll
      for (int p = 0; p < Planes<T>::kVectors; ++p)
#pragma unroll
        for (int i = 0; i < kVectorTile; i += kApart)
          __pipeline_memcpy_async(&tile.planes[p][place() + i][piece() * 16],
                                  from_ + p * plane_bytes_ + i * kDim * kBytes, 16);
      if (threadIdx.x < kVectorTile)
        __pipeline_memcpy_async(&tile.constants[threadIdx.x], constants_, 16);
    }
    __pipeline_commit();
    from_ += kVectorTile * kDim * kBytes;
    constants_ += kVectorTile;
    left_ -= kVectorTile;
  }

 private:
  static constexpr int kBytes = 2;                    // of an element
  static constexpr int kPieces = kDim * kBytes / 16;  // of a vector
  static constexpr int kApart = kThreads / kPieces;   // vectors between those of a thread
  static_assert(kVectorTile % kApart == 0);
  __device__ static int piece() { return static_cast<int>(threadIdx.x) % kPieces; }
  __device__ static int place() { return static_cast<int>(threadIdx.x) / kPieces; }

  const std::byte* from_;
  const float4* constants_;
  int64_t plane_bytes_;
  int left_;
};

/// How the work is cut for a type and dimension; measured (bench/cuda_eviction_bench). Energies
/// with few vectors wait for rows, not for the tensor cores, so more and smaller blocks do better.
template <vase_type T, int kDim, typename Use>
struct Cut {
  static constexpr int kRowElements = Planes<T>::kRows * kDim;
  static constexpr bool kWaits = std::is_same_v<Use, Energy>;
  static constexpr int kTiles = kRowElements <= 128 && !kWaits ? 2 : 1;  // of 16 rows, of a warp
  static constexpr int kColumns = kWaits ? 2 : 4;  // tiles of 8 vectors at a time
  // Blocks that share a multiprocessor, as many as their rows leave registers for.
  static constexpr int kMost = kWaits ? 3 : 2;
  static constexpr int kBlocks = kRowElements > 256 ? 1 : kRowElements > 128 ? 2 : kMost;
  static constexpr int kBlockRows = kWarps * kTiles * 16;
  static constexpr int kStages = 2;  // tiles of vectors in shared memory
};

/// Whose rows, and where the sums go.
struct Target {
  bool values;
  bool set_per_item;
  RowShape shape;
  float* out;  ///< by row
};

/// A warp's rows: of each tile the rows l / 4 and 8 more.
template <vase_type T, int kDim, typename Use>
struct Rows {
  using P = Planes<T>;
  using C = Cut<T, kDim, Use>;
  static constexpr int kChunks = kDim / kChunk;
  uint4 planes[P::kRows][C::kTiles][kChunks][2];
  float scale[P::kScaled ? C::kTiles : 1][P::kScaled ? kChunks : 1][2];
  unsigned spoilt = 0;  ///< bit 2 t + r: this lane's part of row r of tile t is not finite

  /// Rows beyond the last stand for it, so that nothing branches between the loads.
  template <bool kFull>
  __device__ void load(const DeviceItem& item, const Target& target, int head, int first) {
    const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
    const DeviceRows source = target.values ? item.values : item.keys;
    const std::byte* at[C::kTiles][2];
#pragma unroll
    for (int t = 0; t < C::kTiles; ++t)
#pragma unroll
      for (int r = 0; r < 2; ++r)
        at[t][r] = source.data + head * source.head_stride +
                   cell_of(item, min(first + t * 16 + r * 8, item.n_rows - 1)) * source.row_stride;
    Segment<T> segments[C::kTiles][2][kChunks];
#pragma unroll
    for (int t = 0; t < C::kTiles; ++t)
#pragma unroll
      for (int r = 0; r < 2; ++r)
#pragma unroll
        for (int c = 0; c < kChunks; ++c)
          segments[t][r][c].template fetch<kFull>(at[t][r], c * (kChunk / kSegment) + lane % 4,
                                                  target.shape);
#pragma unroll
    for (int t = 0; t < C::kTiles; ++t)
#pragma unroll
      for (int r = 0; r < 2; ++r)
#pragma unroll
        for (int c = 0; c < kChunks; ++c) {
          if (!segments[t][r][c].is_finite()) spoilt |= 1u << (2 * t + r);
          uint4 split[P::kRows];
          segments[t][r][c].planes(split);
#pragma unroll
          for (int p = 0; p < P::kRows; ++p) planes[p][t][c][r] = split[p];
          if constexpr (P::kScaled) scale[t][c][r] = segments[t][r][c].scale();
        }
  }
};

/// products = a warp's rows times vectors [first, first + 8 * kColumns) of a tile.
template <vase_type T, int kDim, typename Use>
__device__ inline void multiply(
    const Rows<T, kDim, Use>& rows, const VectorTile<T, kDim>& tile, int first,
    float (&products)[Cut<T, kDim, Use>::kTiles][Cut<T, kDim, Use>::kColumns][4]) {
  using P = Planes<T>;
  using C = Cut<T, kDim, Use>;
#pragma unroll
  for (int c = 0; c < kDim / kChunk; ++c) {
    uint4 columns[P::kVectors][C::kColumns];
    load_columns(tile.planes, first, c, columns);
    float parts[C::kTiles][C::kColumns][4] = {};
    multiply_chunk<P::kHalf, P::kVectors>(rows.planes, c, columns, P::kScaled ? parts : products);
    if constexpr (P::kScaled)
#pragma unroll
      for (int n = 0; n < C::kColumns; ++n)
#pragma unroll
        for (int t = 0; t < C::kTiles; ++t)
#pragma unroll
          for (int i = 0; i < 4; ++i) products[t][n][i] += parts[t][n][i] * rows.scale[t][c][i / 2];
  }
}

/// A lane's sums of rows, of which products with tiles of vectors are added. constants: of the
/// first of the vectors.
template <typename Use, int kTiles, int kColumns>
__device__ inline void add_products(const float (&products)[kTiles][kColumns][4],
                                    const float4* constants, float (&sums)[kTiles][2]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
#pragma unroll
  for (int n = 0; n < kColumns; ++n) {
    const float4 even = constants[n * 8 + lane % 4 * 2], odd = constants[n * 8 + lane % 4 * 2 + 1];
#pragma unroll
    for (int t = 0; t < kTiles; ++t)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        sums[t][r] = Use::add(sums[t][r], products[t][n][2 * r], even);
        sums[t][r] = Use::add(sums[t][r], products[t][n][2 * r + 1], odd);
      }
  }
}

/// Joins the lanes' sums and writes them. first_row: the lane's first; spoilt: bit 2 t + r for row
/// r of tile t, of any of its lanes.
template <int kTiles>
__device__ inline void store_sums(const float (&sums)[kTiles][2], unsigned spoilt, int first_row,
                                  int n_rows, float* out) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  spoilt |= __shfl_xor_sync(kFullWarp, spoilt, 1);
  spoilt |= __shfl_xor_sync(kFullWarp, spoilt, 2);
#pragma unroll
  for (int t = 0; t < kTiles; ++t)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float sum = sums[t][r];
      sum += __shfl_xor_sync(kFullWarp, sum, 1);
      sum += __shfl_xor_sync(kFullWarp, sum, 2);
      const int row = first_row + t * 16 + r * 8;
      if (lane % 4 != 0 || row >= n_rows) continue;
      out[row] = (spoilt >> (2 * t + r) & 1) != 0 ? NAN : sum;
    }
}

/// Grid: (blocks of rows, units).
template <vase_type T, int kDim, typename Use, bool kFull>
__global__ __launch_bounds__(kThreads, (Cut<T, kDim, Use>::kBlocks)) void row_sums_kernel(
    DeviceCall call, Vectors vectors, Target target, Scratch scratch) {
  using C = Cut<T, kDim, Use>;
  using Tile = VectorTile<T, kDim>;
  extern __shared__ __align__(16) std::byte shared[];
  Tile* tiles = reinterpret_cast<Tile*>(shared);

  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int block_first = static_cast<int>(blockIdx.x) * C::kBlockRows;
  if (item.active == 0 || block_first >= item.n_rows) return;
  const int set = target.set_per_item ? unit / call.n_heads : unit;
  VectorLoader<T, kDim> loader(vectors, scratch, set);
  for (int stage = 0; stage < C::kStages - 1; ++stage) loader.load(tiles[stage]);
  const int first_row = block_first + warp * C::kTiles * 16 + lane / 4;
  Rows<T, kDim, Use> rows;
  rows.template load<kFull>(item, target, head, first_row);

  float sums[C::kTiles][2] = {};
  for (int first = 0, stage = 0; first < vectors.padded;
       first += kVectorTile, stage = (stage + 1) % C::kStages) {
    __pipeline_wait_prior(C::kStages - 2);
    __syncthreads();  // this tile has come for all threads, and all are through with the last one
    loader.load(tiles[(stage + C::kStages - 1) % C::kStages]);
    const Tile& tile = tiles[stage];
#pragma unroll
    for (int column = 0; column < kVectorTile; column += C::kColumns * 8) {
      float products[C::kTiles][C::kColumns][4] = {};
      multiply<T, kDim, Use>(rows, tile, column, products);
      add_products<Use>(products, tile.constants + column, sums);
    }
  }

  store_sums(sums, rows.spoilt, first_row, item.n_rows,
             target.out + int64_t{unit} * call.row_capacity);
}

/// The same of streamed operands. Grid: (blocks of rows, units).
template <vase_type T, typename Use>
__global__ __launch_bounds__(kThreads) void streamed_row_sums(DeviceCall call, Vectors vectors,
                                                              Target target, Scratch scratch) {
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int warp_first = (static_cast<int>(blockIdx.x) * kWarps + warp) * kStreamedRows;
  if (item.active == 0 || warp_first >= item.n_rows) return;
  const int64_t set = target.set_per_item ? unit / call.n_heads : unit;
  const uint16_t* planes = scratch.planes + set * vectors.planes * vectors.plane_elements();
  const float4* constants = scratch.constants + set * vectors.padded;
  const int first_row = warp_first + lane / 4;
  StreamedRows rows;
#pragma unroll
  for (int t = 0; t < kStreamedTiles; ++t)
#pragma unroll
    for (int r = 0; r < 2; ++r)
      rows[t][r] = row_of(item, target.values ? item.values : item.keys, head,
                          min(first_row + t * 16 + r * 8, item.n_rows - 1));

  float sums[kStreamedTiles][2] = {};
  unsigned spoilt = 0;
  for (int first = 0; first < vectors.padded; first += kStreamedVectors) {
    StreamedVectors columns;
    find_vectors(planes, vectors.dim, first, columns);
    StreamedProducts products = {};
    multiply_streamed<T, Planes<T>::kVectors, Planes<T>::kVectors>(
        rows, target.shape, columns, vectors.plane_elements(), products, spoilt);
    add_products<Use>(products, constants + first, sums);
  }
  store_sums(sums, spoilt, first_row, item.n_rows, target.out + int64_t{unit} * call.row_capacity);
}

/// Blocks of threads that have `rows` rows each.
dim3 grid_of(const DeviceCall& call, int rows) {
  return {static_cast<unsigned>(divide_up(call.most_rows, rows)),
          static_cast<unsigned>(call.units())};
}

template <vase_type T, typename Use>
void launch_streamed(const DeviceCall& call, const Vectors& vectors, const Target& target,
                     const Scratch& scratch, cudaStream_t stream) {
  streamed_row_sums<T, Use><<<grid_of(call, kWarps * kStreamedRows), kThreads, 0, stream>>>(
      call, vectors, target, scratch);
}

template <vase_type T, int kDim, typename Use, bool kFull>
void launch(const DeviceCall& call, const Vectors& vectors, const Target& target,
            const Scratch& scratch, cudaStream_t stream) {
  constexpr size_t kBytes = Cut<T, kDim, Use>::kStages * sizeof(VectorTile<T, kDim>);
  if (kBytes > static_cast<size_t>(call.shared_bytes))
    return launch_streamed<T, Use>(call, vectors, target, scratch, stream);
  constexpr auto kernel = row_sums_kernel<T, kDim, Use, kFull>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(kBytes));
  const dim3 grid = grid_of(call, Cut<T, kDim, Use>::kBlockRows);
  kernel<<<grid, kThreads, kBytes, stream>>>(call, vectors, target, scratch);
}

template <typename Use>
void launch(const DeviceCall& call, const Vectors& vectors, const Target& target,
            const Scratch& scratch, cudaStream_t stream) {
  if (vectors.dim > kPiece)
    with_type(target.shape.type, [&]<vase_type T>() {
      launch_streamed<T, Use>(call, vectors, target, scratch, stream);
    });
  else
    with_row_shape(target.shape, vectors.dim, [&]<vase_type T, int kDim, bool kFull>() {
      launch<T, kDim, Use, kFull>(call, vectors, target, scratch, stream);
    });
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
