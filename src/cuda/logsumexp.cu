// The first pass of the attention score: for each query the maximum of its logits over the
// candidates and the sum of their exponentials. A warp holds 16 queries in registers, keys stream
// by through shared memory; the logits are never stored.
#include "cuda/launch.hpp"
#include "cuda/products.cuh"

namespace vase::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;
constexpr int kQueries = 16;  // of a warp
constexpr int kBlockQueries = kWarps * kQueries;
constexpr int kKeys = 64;          // of a tile
constexpr int kColumns = 32;       // of a step: 4 tiles of 8 keys
constexpr int kSplitKeys = 1024;   // of a block of threads
constexpr float kLowest = -1e30f;  // below any logit, and finite: differences stay numbers

/// A tile of keys in shared memory.
template <vase_type T, int kDim>
struct KeyTile {
  static constexpr int kPitch = pitch_bytes(kDim), kChunks = kDim / kChunk;
  alignas(16) std::byte planes[Planes<T>::kRows][kKeys][kPitch];
  float scale[Planes<T>::kScaled ? kChunks : 1][kKeys];
  float bias[kKeys];  // 0 for candidates, -infinity for others
};

/// Fetches a tile into registers while the one before is worked on.
template <vase_type T, int kDim>
struct TileLoader {
  static constexpr int kSegments = kDim / kSegment;
  static constexpr int kPerThread = kKeys * kSegments / kThreads;
  Segment<T> segments[kPerThread];
  float bias;

  __device__ void fetch(const DeviceCall& call, const DeviceItem& item, int head,
                        const int32_t* age, int first) {
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * kThreads;
      const int row = first + at / kSegments;
      segments[i] = Segment<T>{};
      if (row < item.n_rows)
        segments[i].fetch(row_of(item, item.keys, head, row), at % kSegments, call.keys);
    }
    const int row = first + static_cast<int>(threadIdx.x);
    const bool candidate = static_cast<int>(threadIdx.x) < kKeys && row < item.n_rows &&
                           age[row] < candidates_of(call, item);
    bias = candidate ? 0.0f : -INFINITY;
  }

  __device__ void store(KeyTile<T, kDim>& tile) const {
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * kThreads;
      const int key = at / kSegments, segment = at % kSegments;
      uint4 planes[Planes<T>::kRows];
      segments[i].planes(planes);
#pragma unroll
      for (int p = 0; p < Planes<T>::kRows; ++p)
        *reinterpret_cast<uint4*>(&tile.planes[p][key][segment * 16]) = planes[p];
      if (Planes<T>::kScaled && segment % 4 == 0)
        tile.scale[segment / 4][key] = segments[i].scale();
    }
    if (threadIdx.x < kKeys) tile.bias[threadIdx.x] = bias;
  }
};

/// The softmax of one query in the making, over the columns that this lane sees.
struct Running {
  float maximum = kLowest, sum = 0;

  __device__ void take(const float (&x)[kColumns / 4]) {
    float next = maximum;
#pragma unroll
    for (float v : x) next = fmaxf(next, v);
    sum *= exp2_fast(maximum - next);
#pragma unroll
    for (float v : x) sum += exp2_fast(v - next);
    maximum = next;
  }
  __device__ void merge_lanes() {
    for (int step = 1; step < 4; step *= 2) {
      const float other = __shfl_xor_sync(kFullWarp, maximum, step);
      const float other_sum = __shfl_xor_sync(kFullWarp, sum, step);
      const float next = fmaxf(maximum, other);
      sum = sum * exp2_fast(maximum - next) + other_sum * exp2_fast(other - next);
      maximum = next;
    }
  }
};

/// Grid: (splits, blocks of kBlockQueries, units).
template <vase_type T, int kDim>
__global__ __launch_bounds__(kThreads) void log_sum_exp_kernel(DeviceCall call, Vectors vectors,
                                                               Scratch scratch) {
  using P = Planes<T>;
  using Tile = KeyTile<T, kDim>;
  constexpr int kChunks = kDim / kChunk;
  extern __shared__ __align__(16) std::byte shared[];
  Tile* tiles = reinterpret_cast<Tile*>(shared);

  const int unit = static_cast<int>(blockIdx.z), split = static_cast<int>(blockIdx.x);
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int head = unit % call.n_heads;
  const int32_t* age = scratch.age + int64_t{unit} * call.row_capacity;
  const int first_query = static_cast<int>(blockIdx.y) * kBlockQueries + warp * kQueries;
  const bool working = first_query < vectors.padded;

  // Rows l / 4 and 8 more of this warp's 16 queries.
  uint4 queries[P::kVectors][kChunks][2];
  float scale[2] = {0, 0};
  if (working) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int query = first_query + lane / 4 + r * 8;
      scale[r] = scratch.constants[int64_t{unit} * vectors.padded + query].x;
#pragma unroll
      for (int p = 0; p < P::kVectors; ++p)
#pragma unroll
        for (int c = 0; c < kChunks; ++c)
          queries[p][c][r] = *reinterpret_cast<const uint4*>(
              scratch.planes +
              ((int64_t{unit} * vectors.planes + p) * vectors.padded + query) * kDim + c * kChunk +
              lane % 4 * kSegment);
    }
  }

  const int begin = split * kSplitKeys, end = min(item.n_rows, begin + kSplitKeys);
  Running running[2];
  TileLoader<T, kDim> loader;
  if (begin < end) loader.fetch(call, item, head, age, begin);
  for (int first = begin, stage = 0; first < end; first += kKeys, stage ^= 1) {
    Tile& tile = tiles[stage];
    loader.store(tile);
    __syncthreads();  // the other stage is free too: all have passed their work on it
    if (first + kKeys < end) loader.fetch(call, item, head, age, first + kKeys);
    if (!working) continue;
#pragma unroll
    for (int column = 0; column < kKeys; column += kColumns) {
      float logits[4][4] = {};
#pragma unroll
      for (int c = 0; c < kChunks; ++c)
#pragma unroll
        for (int n = 0; n < 4; ++n) {
          const int key = column + n * 8 + lane / 4;
          float part[4] = {};
          float(&sum)[4] = P::kScaled ? part : logits[n];
#pragma unroll
          for (int k = 0; k < P::kRows; ++k) {
            const uint4 keys = *reinterpret_cast<const uint4*>(
                &tile.planes[k][key][c * kChunk * 2 + lane % 4 * 16]);
#pragma unroll
            for (int p = 0; p + k < P::kVectors; ++p)
              multiply_add_chunk<P::kHalf>(sum, queries[p][c][0], queries[p][c][1], keys);
          }
          if constexpr (P::kScaled) {
            const float2 s =
                *reinterpret_cast<const float2*>(&tile.scale[c][column + n * 8 + lane % 4 * 2]);
            logits[n][0] += part[0] * s.x, logits[n][1] += part[1] * s.y;
            logits[n][2] += part[2] * s.x, logits[n][3] += part[3] * s.y;
          }
        }
      float x[2][kColumns / 4];
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        const float2 bias =
            *reinterpret_cast<const float2*>(&tile.bias[column + n * 8 + lane % 4 * 2]);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          x[r][2 * n] = fmaf(logits[n][2 * r], scale[r], bias.x);
          x[r][2 * n + 1] = fmaf(logits[n][2 * r + 1], scale[r], bias.y);
        }
      }
      running[0].take(x[0]);
      running[1].take(x[1]);
    }
  }

  if (!working) return;
  const auto splits = static_cast<int>(gridDim.x);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    running[r].merge_lanes();
    if (lane % 4 == 0)
      scratch.partials[(int64_t{unit} * splits + split) * vectors.padded + first_query + lane / 4 +
                       r * 8] = {running[r].maximum, running[r].sum};
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

template <vase_type T, int kDim>
void launch(const DeviceCall& call, const Vectors& vectors, const Scratch& scratch,
            cudaStream_t stream) {
  constexpr size_t kBytes = 2 * sizeof(KeyTile<T, kDim>);
  cudaFuncSetAttribute(log_sum_exp_kernel<T, kDim>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(kBytes));
  const dim3 grid(static_cast<unsigned>(key_splits(call.most_rows)),
                  static_cast<unsigned>(divide_up(vectors.padded, kBlockQueries)),
                  static_cast<unsigned>(call.units()));
  log_sum_exp_kernel<T, kDim><<<grid, kThreads, kBytes, stream>>>(call, vectors, scratch);
}

template <vase_type T>
void launch(const DeviceCall& call, const Vectors& vectors, const Scratch& scratch,
            cudaStream_t stream) {
  switch (vectors.dim) {
    case 64:
      return launch<T, 64>(call, vectors, scratch, stream);
    case 128:
      return launch<T, 128>(call, vectors, scratch, stream);
    default:
      return launch<T, 256>(call, vectors, scratch, stream);
  }
}

}  // namespace

int32_t key_splits(int32_t n_rows) { return divide_up(n_rows, kSplitKeys); }

void log_sum_exp(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const Vectors vectors = queries_of(call);
  switch (call.keys.type) {
    case VASE_F32:
      launch<VASE_F32>(call, vectors, scratch, stream);
      break;
    case VASE_F16:
      launch<VASE_F16>(call, vectors, scratch, stream);
      break;
    case VASE_BF16:
      launch<VASE_BF16>(call, vectors, scratch, stream);
      break;
    case VASE_Q8_0:
      launch<VASE_Q8_0>(call, vectors, scratch, stream);
      break;
  }
  constexpr unsigned kJoiners = 128;
  const dim3 grid((static_cast<unsigned>(vectors.padded) + kJoiners - 1) / kJoiners,
                  static_cast<unsigned>(call.units()));
  join_splits<<<grid, kJoiners, 0, stream>>>(call, vectors, key_splits(call.most_rows), scratch);
}

}  // namespace vase::cuda
