// How much a head's usual queries would attend to each candidate (TriAttention), as
// score/trigonometric.cpp has it. A warp takes a row; the vectors that rows are multiplied with lie
// in shared memory. Rows are read twice: standard scores need the mean of all first.
#include <algorithm>

#include "core/pair_layout.hpp"
#include "core/rope_rule.hpp"
#include "core/trigonometric_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/rotate.cuh"
#include "cuda/trigonometric.hpp"
#include "cuda/warp_rows.cuh"

namespace vase::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;

/// Query heads that rows are scored for at a time: their vectors, beside a row for each warp, fit
/// into the shared memory that any kernel may have.
template <int kPieces>
constexpr int kTileHeads = kPieces == 1 ? 20 : 6;

/// Of a tile of query heads.
struct Tile {
  int first, count;
};
template <int kPieces>
__device__ inline Tile tile_from(const DeviceCall& call, int first) {
  return {first, min(kTileHeads<kPieces>, call.group - first)};
}

/// Floats of shared memory before the vectors of a tile, [heads][3][pairs]: a row for each warp.
template <int kPieces>
constexpr int kRowFloats = kWarps* kPieces* kPiece;

static_assert(sizeof(float) * (kRowFloats<1> + kTileHeads<1> * 3 * kPiece / 2) +
                  kWarps * kTileHeads<1> * sizeof(Sums) <=
              size_t{48} << 10);
static_assert(sizeof(float) *
                      (kRowFloats<kMostPieces> + kTileHeads<kMostPieces> * 3 * kMostDim / 2) +
                  kWarps * kTileHeads<kMostPieces> * sizeof(Sums) <=
              size_t{48} << 10);

/// Of the query heads of `unit`.
__device__ inline Sums* sums_of_split(const DeviceCall& call, const Scratch& scratch, int unit,
                                      unsigned split) {
  return reinterpret_cast<Sums*>(scratch.row_sums) +
         (int64_t{unit} * gridDim.x + split) * call.group;
}

/// Of a query head [3][pairs]: the vector for the first elements of a row's pairs, for the second
/// ones, and for their lengths.
struct Vectors3 {
  const float *first, *second, *lengths;

  __device__ Vectors3(const float* vectors, int g, int pairs)
      : first(vectors + 3 * g * pairs), second(first + pairs), lengths(second + pairs) {}
};

/// Writes the vectors of a tile of a unit's query heads, [heads][3][pairs].
__device__ inline void find_vectors(const DeviceCall& call, const Scratch& scratch,
                                    const PairLayout& layout, int unit, const Tile& tile,
                                    float* vectors) {
  const DeviceItem& item = call.items[unit / call.n_heads];
  const uint32_t newest = scratch.tokens[int64_t{unit} * call.row_capacity + item.n_rows - 1];
  const int coming = token_of(newest) + 1, pairs = layout.pairs;
  const int64_t first_head = int64_t{unit % call.n_heads} * call.group + tile.first;
  const float* usual = item.calibration + first_head * 3 * pairs;
  __syncthreads();  // all are through with the tile before
  for (int pair = static_cast<int>(threadIdx.x); pair < pairs; pair += kThreads) {
    float sine = 0, cosine = 1;
    if (pair < layout.turned) {
      const uint32_t step = rope_step(item.frequencies[pair]);
      cosine = 0;
      for (int o = 0; o < kOffsets; ++o) {
        float s, c;
        sincospif(2 * rope_turns(step, coming + (1 << o)), &s, &c);
        sine += s / kOffsets;
        cosine += c / kOffsets;
      }
    }
    for (int g = 0; g < tile.count; ++g) {
      const float* own = usual + 3 * g * pairs + pair;
      const float real = own[0], imaginary = own[pairs];
      float* to = vectors + 3 * g * pairs + pair;
      to[0] = real * cosine - imaginary * sine;
      to[pairs] = real * sine + imaginary * cosine;
      to[2 * pairs] = own[2 * pairs] - sqrtf(real * real + imaginary * imaginary);
    }
  }
  __syncthreads();
}

/// A row's pairs among the lanes of its warp: lane l has pairs l, l + 32, ...
template <int kPieces>
struct Pairs {
  static constexpr int kOfLane = kPieces * kPiece / 2 / kWarpLanes;
  float first[kOfLane], second[kOfLane], lengths[kOfLane];
  bool finite;  ///< all of the row, an element without a partner included

  /// x: the lane's part of the row; row: memory of the warp for a whole one.
  __device__ Pairs(const LaneRow<kPieces>& x, const PairLayout& layout, float* row)
      : finite(__all_sync(kFullWarp, all_finite(x)) != 0) {
    const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
    __syncwarp();  // all are through with the row before
#pragma unroll
    for (int d = 0; d < kPieces * kSegment; ++d) row[place_of(d)] = x[d];
    __syncwarp();
#pragma unroll
    for (int j = 0; j < kOfLane; ++j) {
      const int pair = lane + j * kWarpLanes;
      const bool there = pair < layout.pairs;
      first[j] = there ? row[layout.first(pair)] : 0.0f;
      second[j] = there ? row[layout.second(pair)] : 0.0f;
      lengths[j] = sqrtf(fmaf(first[j], first[j], second[j] * second[j]));
    }
  }

  /// The row's score for a query head, for all lanes; not finite if the row is not.
  __device__ float score(const Vectors3& vectors, int pairs) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
    float sum = 0;
#pragma unroll
    for (int j = 0; j < kOfLane; ++j) {
      const int pair = lane + j * kWarpLanes;
      if (pair >= pairs) break;
      sum = fmaf(first[j], vectors.first[pair], sum);
      sum = fmaf(second[j], vectors.second[pair], sum);
      sum = fmaf(lengths[j], vectors.lengths[pair], sum);
    }
    return finite ? warp_sum(sum) : NAN;
  }
};

/// Calls use(row, pairs) for each of the warp's rows of a split. rows: shared, a row for each warp.
template <vase_type T, int kPieces, typename Use>
__device__ inline void for_pairs(const DeviceCall& call, const PairLayout& layout, int unit,
                                 float* rows, const Use& use) {
  const int thread = static_cast<int>(threadIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  float* own = rows + thread / kWarpLanes * kPieces * kPiece;
  for_split_rows<T, kPieces, kWarps>(item, item.keys, call.keys, unit % call.n_heads,
                                     [&](int row, const LaneRow<kPieces>& stored) {
                                       LaneRow<kPieces> x;
#pragma unroll
                                       for (int d = 0; d < kPieces * kSegment; ++d)
                                         x[d] = stored[d];
                                       if (call.keys.rotation != 0)
                                         rotate(x, thread % kWarpLanes, call.keys.rotation);
                                       use(row, Pairs<kPieces>(x, layout, own));
                                     });
}

/// Sums over the candidates of a split. Grid: (splits, units).
template <vase_type T, int kPieces>
__global__ __launch_bounds__(kThreads) void sum_scores(DeviceCall call, Scratch scratch,
                                                       PairLayout layout) {
  extern __shared__ float shared[];
  __shared__ Sums sums[kWarps][kTileHeads<kPieces>];
  float* vectors = shared + kRowFloats<kPieces>;
  const int unit = static_cast<int>(blockIdx.y), thread = static_cast<int>(threadIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int candidates = candidates_of(call, item);
  const int32_t* age = scratch.age + int64_t{unit} * call.row_capacity;
  for (int first = 0; first < call.group; first += kTileHeads<kPieces>) {
    const Tile tile = tile_from<kPieces>(call, first);
    find_vectors(call, scratch, layout, unit, tile, vectors);
    for (int i = thread % kWarpLanes; i < tile.count; i += kWarpLanes)
      sums[thread / kWarpLanes][i] = {};
    __syncwarp();
    for_pairs<T, kPieces>(call, layout, unit, shared, [&](int row, const Pairs<kPieces>& pairs) {
      if (age[row] >= candidates) return;
      for (int g = 0; g < tile.count; ++g) {
        const auto score =
            static_cast<double>(pairs.score(Vectors3(vectors, g, layout.pairs), layout.pairs));
        if (thread % kWarpLanes != 0 || !isfinite(score)) continue;
        Sums& own = sums[thread / kWarpLanes][g];
        own.scores += score;
        own.squares += score * score;
        ++own.rows;
      }
    });
    __syncthreads();
    if (thread >= tile.count) continue;
    Sums all{};
    for (const auto& warp : sums) {
      all.scores += warp[thread].scores;
      all.squares += warp[thread].squares;
      all.rows += warp[thread].rows;
    }
    sums_of_split(call, scratch, unit, blockIdx.x)[first + thread] = all;
  }
}

/// The largest standard score of each row. Grid: (splits, units).
template <vase_type T, int kPieces>
__global__ __launch_bounds__(kThreads) void standard_scores(DeviceCall call, Scratch scratch,
                                                            PairLayout layout) {
  extern __shared__ float shared[];
  __shared__ double means[kTileHeads<kPieces>], inverse_deviations[kTileHeads<kPieces>];
  float* vectors = shared + kRowFloats<kPieces>;
  const int unit = static_cast<int>(blockIdx.y), thread = static_cast<int>(threadIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  float* out = scratch.first + int64_t{unit} * call.row_capacity;
  for (int first = 0; first < call.group; first += kTileHeads<kPieces>) {
    const Tile tile = tile_from<kPieces>(call, first);
    __syncthreads();  // all are through with the tile before
    if (thread < tile.count) {
      Sums all{};
      for (unsigned split = 0; split < gridDim.x; ++split) {
        const Sums& own = sums_of_split(call, scratch, unit, split)[first + thread];
        all.scores += own.scores;
        all.squares += own.squares;
        all.rows += own.rows;
      }
      const double n = fmax(all.rows, 1.0), mean = all.scores / n;
      const double deviation = sqrt(fmax(all.squares / n - mean * mean, 0.0));
      means[thread] = mean;
      inverse_deviations[thread] = 1 / fmax(deviation, static_cast<double>(kLeastDeviation));
    }
    find_vectors(call, scratch, layout, unit, tile, vectors);

    for_pairs<T, kPieces>(call, layout, unit, shared, [&](int row, const Pairs<kPieces>& pairs) {
      float best = first == 0 ? -INFINITY : out[row];
      for (int g = 0; g < tile.count; ++g) {
        const auto score =
            static_cast<double>(pairs.score(Vectors3(vectors, g, layout.pairs), layout.pairs));
        const auto standard = static_cast<float>((score - means[g]) * inverse_deviations[g]);
        best = isfinite(score) && !isnan(best) ? fmaxf(best, standard) : NAN;
      }
      __syncwarp();  // all have read what it was
      if (thread % kWarpLanes == 0) out[row] = best;
    });
  }
}

}  // namespace

void usual_attention(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const PairLayout layout = pair_layout(call.rope.pairs, call.rope.stride, call.keys.dim);
  const dim3 grid(static_cast<unsigned>(row_splits(call.most_rows)),
                  static_cast<unsigned>(call.units()));
  with_pieces(call.keys, [&]<vase_type T, int kPieces>() {
    const int32_t heads = std::min(call.group, kTileHeads<kPieces>);
    const size_t bytes =
        sizeof(float) * static_cast<size_t>(kRowFloats<kPieces> + heads * 3 * layout.pairs);
    sum_scores<T, kPieces><<<grid, kThreads, bytes, stream>>>(call, scratch, layout);
    standard_scores<T, kPieces><<<grid, kThreads, bytes, stream>>>(call, scratch, layout);
  });
}

}  // namespace vase::cuda
