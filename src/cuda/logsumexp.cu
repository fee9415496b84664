// The first pass of the attention score: for each query the maximum of its logits over the
// attended rows and the sum of their exponentials. A warp holds 16 queries in registers, keys
// stream by through shared memory; the logits are never stored.
#include "cuda/key_tiles.cuh"
#include "cuda/launch.hpp"
#include "cuda/products.cuh"
#include "cuda/streamed.cuh"

namespace vase::cuda {
namespace {

constexpr float kLowest = -1e30f;  // below any logit, and finite: differences stay numbers

/// How the work is cut for a type and dimension; measured (bench/cuda_eviction_bench).
template <vase_type T, int kDim>
struct Cut {
  static constexpr int kRegisters = Planes<T>::kVectors * kDim / 4;  // of a lane, for 16 queries
  static constexpr int kTiles = kRegisters <= 64 ? 2 : 1;            // of 16 queries, of a warp
  static constexpr int kColumns = 2;                                 // tiles of 8 keys at a time
  // Blocks that share a multiprocessor: two where the queries leave registers for it.
  static constexpr int kBlocks = kTiles * kRegisters <= 64 ? 2 : 1;
  static constexpr int kWarpQueries = kTiles * 16;
  static constexpr int kBlockQueries = kWarps * kWarpQueries;
};

/// The softmax of one query in the making, over the columns that this lane sees.
struct Running {
  float maximum = kLowest, sum = 0;

  /// Takes products, which `scale` makes logits.
  template <int kCount>
  __device__ void take(const float (&products)[kCount], float scale) {
    float largest = products[0];
#pragma unroll
    for (float p : products) largest = fmaxf(largest, p);
    const float next = fmaxf(maximum, largest * scale);
    sum *= exp2_fast(maximum - next);
#pragma unroll
    for (float p : products) sum += exp2_fast(fmaf(p, scale, -next));
    maximum = next;
  }
  /// Of lanes whose numbers differ in bits from `from` up to below `end`.
  __device__ void merge_lanes(int from, int end) {
    for (int step = from; step < end; step *= 2) {
      const float other = __shfl_xor_sync(kFullWarp, maximum, step);
      const float other_sum = __shfl_xor_sync(kFullWarp, sum, step);
      const float next = fmaxf(maximum, other);
      sum = sum * exp2_fast(maximum - next) + other_sum * exp2_fast(other - next);
      maximum = next;
    }
  }
};

/// A warp's queries: of each tile the rows l / 4 and 8 more.
template <vase_type T, int kDim>
struct Queries {
  using P = Planes<T>;
  using C = Cut<T, kDim>;
  static constexpr int kChunks = kDim / kChunk;
  uint4 planes[P::kVectors][C::kTiles][kChunks][2];
  float scale[C::kTiles][2];

  __device__ void load(const Vectors& vectors, const Scratch& scratch, int unit, int first) {
    const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
#pragma unroll
    for (int t = 0; t < C::kTiles; ++t)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int query = first + t * 16 + lane / 4 + r * 8;
        const bool there = query < vectors.padded;
        scale[t][r] = there ? scratch.constants[int64_t{unit} * vectors.padded + query].x : 0.0f;
#pragma unroll
        for (int p = 0; p < P::kVectors; ++p)
#pragma unroll
          for (int c = 0; c < kChunks; ++c)
            planes[p][t][c][r] =
                there ? *reinterpret_cast<const uint4*>(
                            scratch.planes +
                            ((int64_t{unit} * vectors.planes + p) * vectors.padded + query) * kDim +
                            c * kChunk + lane % 4 * kSegment)
                      : uint4{};
      }
  }
};

/// products = a warp's queries times keys [first, first + 8 * kColumns) of a tile.
template <vase_type T, int kDim>
__device__ inline void multiply(
    const Queries<T, kDim>& queries, const KeyTile<T, kDim>& tile, int first,
    float (&products)[Cut<T, kDim>::kTiles][Cut<T, kDim>::kColumns][4]) {
  using P = Planes<T>;
  using C = Cut<T, kDim>;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
#pragma unroll
  for (int c = 0; c < kDim / kChunk; ++c) {
    uint4 keys[P::kRows][C::kColumns];
    load_columns(tile.planes, first, c, keys);
    float parts[C::kTiles][C::kColumns][4] = {};
    multiply_chunk<P::kHalf, P::kVectors>(queries.planes, c, keys, P::kScaled ? parts : products);
    if constexpr (P::kScaled)
#pragma unroll
      for (int n = 0; n < C::kColumns; ++n) {
        const float2 scale =
            *reinterpret_cast<const float2*>(&tile.scale[c][first + n * 8 + lane % 4 * 2]);
#pragma unroll
        for (int t = 0; t < C::kTiles; ++t)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            products[t][n][i] += parts[t][n][i] * (i % 2 == 0 ? scale.x : scale.y);
      }
  }
}

/// Grid: (splits, blocks of queries, units).
template <vase_type T, int kDim, bool kFull>
__global__ __launch_bounds__(kThreads,
                             (Cut<T, kDim>::kBlocks)) void log_sum_exp_kernel(DeviceCall call,
                                                                              Vectors vectors,
                                                                              Scratch scratch) {
  using C = Cut<T, kDim>;
  using Tile = KeyTile<T, kDim>;
  extern __shared__ __align__(16) std::byte shared[];
  Tile* tiles = reinterpret_cast<Tile*>(shared);
  __shared__ SplitKeys keys;

  const int unit = static_cast<int>(blockIdx.z), split = static_cast<int>(blockIdx.x);
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int head = unit % call.n_heads;
  const int32_t* age = scratch.age + int64_t{unit} * call.row_capacity;
  const int first_query = static_cast<int>(blockIdx.y) * C::kBlockQueries + warp * C::kWarpQueries;
  const bool working = first_query < vectors.padded;
  Queries<T, kDim> queries;
  queries.load(vectors, scratch, unit, first_query);

  const int begin = split * kSplitKeys, count = min(kSplitKeys, item.n_rows - begin);
  const std::byte* rows = item.keys.data + head * item.keys.head_stride;
  const int64_t row_stride = item.keys.row_stride;
  Running running[C::kTiles][2];
  TileLoader<T, kDim, kFull> loader;
  if (count > 0) {
    keys.load(call, item, age, begin);
    loader.fetch(rows, row_stride, call.keys, keys.cells);
  }
  for (int first = 0, stage = 0; first < count; first += kKeys, stage ^= 1) {
    Tile& tile = tiles[stage];
    loader.store(tile, keys, first);
    __syncthreads();  // the other stage is free too: all have passed their work on it
    if (first + kKeys < count)
      loader.fetch(rows, row_stride, call.keys, keys.cells + first + kKeys);
    if (!working) continue;
    const bool others = keys.others[first / kKeys] != 0;
#pragma unroll
    for (int column = 0; column < kKeys; column += C::kColumns * 8) {
      float products[C::kTiles][C::kColumns][4] = {};
      multiply<T, kDim>(queries, tile, column, products);
      if (others)
#pragma unroll
        for (int n = 0; n < C::kColumns; ++n) {
          const float2 bias =
              *reinterpret_cast<const float2*>(&keys.bias[first + column + n * 8 + lane % 4 * 2]);
#pragma unroll
          for (int t = 0; t < C::kTiles; ++t)
#pragma unroll
            for (int i = 0; i < 4; ++i) products[t][n][i] += i % 2 == 0 ? bias.x : bias.y;
        }
#pragma unroll
      for (int t = 0; t < C::kTiles; ++t)
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          float own[C::kColumns * 2];
#pragma unroll
          for (int n = 0; n < C::kColumns; ++n) {
            own[2 * n] = products[t][n][2 * r];
            own[2 * n + 1] = products[t][n][2 * r + 1];
          }
          running[t][r].take(own, queries.scale[t][r]);
        }
    }
  }

  if (!working) return;
  const auto splits = static_cast<int>(gridDim.x);
#pragma unroll
  for (int t = 0; t < C::kTiles; ++t)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      running[t][r].merge_lanes(1, 4);
      const int query = first_query + t * 16 + lane / 4 + r * 8;
      if (lane % 4 == 0 && query < vectors.padded)
        scratch.partials[(int64_t{unit} * splits + split) * vectors.padded + query] = {
            running[t][r].maximum, running[t][r].sum};
    }
}

/// The same of streamed operands: a warp goes through the rows for kStreamedVectors queries. Grid:
/// (splits, blocks of queries, units).
template <vase_type T>
__global__ __launch_bounds__(kThreads) void streamed_log_sum_exp(DeviceCall call, Vectors vectors,
                                                                 Scratch scratch) {
  const int unit = static_cast<int>(blockIdx.z), split = static_cast<int>(blockIdx.x);
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const int first_query = (static_cast<int>(blockIdx.y) * kWarps + warp) * kStreamedVectors;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0 || first_query >= vectors.padded) return;
  const int32_t* age = scratch.age + int64_t{unit} * call.row_capacity;
  const int n_attended = attended_rows(call, item);
  StreamedVectors queries;
  find_vectors(scratch.planes + int64_t{unit} * vectors.planes * vectors.plane_elements(),
               vectors.dim, first_query, queries);
  const auto first_constants = scratch.constants + int64_t{unit} * vectors.padded + first_query;
  float scale[kStreamedColumns][2];
#pragma unroll
  for (int n = 0; n < kStreamedColumns; ++n)
#pragma unroll
    for (int i = 0; i < 2; ++i) scale[n][i] = first_constants[n * 8 + lane % 4 * 2 + i].x;

  Running running[kStreamedColumns][2];
  const int begin = split * kSplitKeys, end = min(item.n_rows, begin + kSplitKeys);
  for (int first = begin; first < end; first += kStreamedRows) {
    StreamedRows rows;
    bool attended[kStreamedTiles][2];
#pragma unroll
    for (int t = 0; t < kStreamedTiles; ++t)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int at = first + t * 16 + r * 8 + lane / 4, row = min(at, end - 1);
        rows[t][r] = row_of(item, item.keys, unit % call.n_heads, row);
        attended[t][r] = at < end && age[row] < n_attended;
      }
    StreamedProducts products = {};
    unsigned spoilt;
    multiply_streamed<T, Planes<T>::kVectors, Planes<T>::kVectors>(
        rows, call.keys, queries, vectors.plane_elements(), products, spoilt);
#pragma unroll
    for (int n = 0; n < kStreamedColumns; ++n)
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float own[kStreamedTiles * 2];
#pragma unroll
        for (int t = 0; t < kStreamedTiles; ++t)
#pragma unroll
          for (int r = 0; r < 2; ++r) {
            const bool counts = attended[t][r] && (spoilt >> (2 * t + r) & 1) == 0;
            own[2 * t + r] = counts ? products[t][n][2 * r + i] : -INFINITY;
          }
        running[n][i].take(own, scale[n][i]);
      }
  }

#pragma unroll
  for (int n = 0; n < kStreamedColumns; ++n)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      running[n][i].merge_lanes(4, kWarpLanes);
      const int query = first_query + n * 8 + lane % 4 * 2 + i;
      if (lane / 4 == 0)
        scratch.partials[(int64_t{unit} * gridDim.x + split) * vectors.padded + query] = {
            running[n][i].maximum, running[n][i].sum};
    }
}

/// Joins the splits: constants = (scale, maximum, share / sum). Grid: (vectors, units).
__global__ void join_splits(DeviceCall call, Vectors vectors, int splits, Scratch scratch) {
  const int unit = static_cast<int>(blockIdx.y),
            v = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (v >= vectors.padded || call.items[unit / call.n_heads].active == 0) return;
  const float2* parts = scratch.partials + int64_t{unit} * splits * vectors.padded + v;
  float maximum = kLowest, sum = 0;
  for (int s = 0; s < splits; ++s) maximum = fmaxf(maximum, parts[s * vectors.padded].x);
  for (int s = 0; s < splits; ++s)
    sum += parts[s * vectors.padded].y * exp2_fast(parts[s * vectors.padded].x - maximum);
  float4& constants = scratch.constants[int64_t{unit} * vectors.padded + v];
  const float share = 1.0f / static_cast<float>(vectors.count);
  constants.y = maximum;
  constants.z = v < vectors.count ? share / sum : 0.0f;
}

/// Blocks of threads that have `queries` queries each.
dim3 grid_of(const DeviceCall& call, const Vectors& vectors, int queries) {
  return {static_cast<unsigned>(key_splits(call.most_rows)),
          static_cast<unsigned>(divide_up(vectors.padded, queries)),
          static_cast<unsigned>(call.units())};
}

template <vase_type T>
void launch_streamed(const DeviceCall& call, const Vectors& vectors, const Scratch& scratch,
                     cudaStream_t stream) {
  const dim3 grid = grid_of(call, vectors, kWarps * kStreamedVectors);
  streamed_log_sum_exp<T><<<grid, kThreads, 0, stream>>>(call, vectors, scratch);
}

template <vase_type T, int kDim, bool kFull>
void launch(const DeviceCall& call, const Vectors& vectors, const Scratch& scratch,
            cudaStream_t stream) {
  constexpr size_t kBytes = 2 * sizeof(KeyTile<T, kDim>);
  if (kBytes + sizeof(SplitKeys) > static_cast<size_t>(call.shared_bytes))
    return launch_streamed<T>(call, vectors, scratch, stream);
  constexpr auto kernel = log_sum_exp_kernel<T, kDim, kFull>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(kBytes));
  const dim3 grid = grid_of(call, vectors, Cut<T, kDim>::kBlockQueries);
  kernel<<<grid, kThreads, kBytes, stream>>>(call, vectors, scratch);
}

}  // namespace

int32_t key_splits(int32_t n_rows) { return divide_up(n_rows, kSplitKeys); }

void log_sum_exp(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const Vectors vectors = queries_of(call);
  if (vectors.dim > kPiece)
    with_type(call.keys.type,
              [&]<vase_type T>() { launch_streamed<T>(call, vectors, scratch, stream); });
  else
    with_row_shape(call.keys, vectors.dim, [&]<vase_type T, int kDim, bool kFull>() {
      launch<T, kDim, kFull>(call, vectors, scratch, stream);
    });
  constexpr unsigned kJoiners = 128;
  const dim3 grid((static_cast<unsigned>(vectors.padded) + kJoiners - 1) / kJoiners,
                  static_cast<unsigned>(call.units()));
  join_splits<<<grid, kJoiners, 0, stream>>>(call, vectors, key_splits(call.most_rows), scratch);
}

}  // namespace vase::cuda
