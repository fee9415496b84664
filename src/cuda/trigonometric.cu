// How much a head's usual queries would attend to each candidate (TriAttention), as
// score/trigonometric.cpp has it. A warp takes a row; the vectors that rows are multiplied with lie
// in shared memory. Rows are read twice: standard scores need the mean of all first.
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
constexpr int kMostPairs = kMostDim / 2;
constexpr int kPairsOfLane = kMostPairs / kWarpLanes;

/// Sums of a query head's scores and of their squares, over some rows but the spoilt ones.
struct Sums {
  double scores, squares, rows;
};
// The sums of splits lie in scratch.row_sums, which has more than so many floats for each.
static_assert(kMostGroup * sizeof(Sums) <= kMostDim * sizeof(float) && kMostDim <= kRowSums);

__device__ inline Sums* sums_of_split(const Scratch& scratch, int64_t unit, unsigned split) {
  return reinterpret_cast<Sums*>(scratch.row_sums + (unit * gridDim.x + split) * kMostDim);
}

/// Of a query head [3][pairs]: the vector for the first elements of a row's pairs, for the second
/// ones, and for their lengths.
struct Vectors3 {
  const float *first, *second, *lengths;

  __device__ Vectors3(const float* vectors, int g, int pairs)
      : first(vectors + 3 * g * pairs), second(first + pairs), lengths(second + pairs) {}
};

/// Writes the vectors of a unit's query heads, [group][3][pairs].
__device__ inline void find_vectors(const DeviceCall& call, const Scratch& scratch,
                                    const PairLayout& layout, int unit, float* vectors) {
  const DeviceItem& item = call.items[unit / call.n_heads];
  const uint32_t newest = scratch.tokens[int64_t{unit} * call.row_capacity + item.n_rows - 1];
  const int coming = token_of(newest) + 1, pairs = layout.pairs;
  const float* usual = item.calibration + int64_t{unit % call.n_heads} * call.group * 3 * pairs;
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
    for (int g = 0; g < call.group; ++g) {
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
struct Pairs {
  float first[kPairsOfLane], second[kPairsOfLane], lengths[kPairsOfLane];

  /// x: the lane's segment of the row; row: memory of the warp for a whole one.
  __device__ Pairs(const float (&x)[kSegment], const PairLayout& layout, float* row) {
    const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
    __syncwarp();  // all are through with the row before
#pragma unroll
    for (int d = 0; d < kSegment; ++d) row[lane * kSegment + d] = x[d];
    __syncwarp();
#pragma unroll
    for (int j = 0; j < kPairsOfLane; ++j) {
      const int pair = lane + j * kWarpLanes;
      const bool there = pair < layout.pairs;
      first[j] = there ? row[layout.first(pair)] : 0.0f;
      second[j] = there ? row[layout.second(pair)] : 0.0f;
      lengths[j] = sqrtf(fmaf(first[j], first[j], second[j] * second[j]));
    }
  }

  /// The row's score for a query head, for all lanes.
  __device__ float score(const Vectors3& vectors, int pairs) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
    float sum = 0;
#pragma unroll
    for (int j = 0; j < kPairsOfLane; ++j) {
      const int pair = lane + j * kWarpLanes;
      if (pair >= pairs) break;
      sum = fmaf(first[j], vectors.first[pair], sum);
      sum = fmaf(second[j], vectors.second[pair], sum);
      sum = fmaf(lengths[j], vectors.lengths[pair], sum);
    }
    return warp_sum(sum);
  }
};

/// Calls use(row, pairs) for each of the warp's rows of a split.
template <vase_type T, typename Use>
__device__ inline void for_pairs(const DeviceCall& call, const PairLayout& layout, int unit,
                                 const Use& use) {
  __shared__ float rows[kWarps][kMostDim];
  const int thread = static_cast<int>(threadIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  for_split_rows<T, kWarps>(item, item.keys, call.keys, unit % call.n_heads,
                            [&](int row, const float(&stored)[kSegment]) {
                              float x[kSegment];
#pragma unroll
                              for (int d = 0; d < kSegment; ++d) x[d] = stored[d];
                              if (call.keys.rotation != 0)
                                rotate(x, thread % kWarpLanes, call.keys.rotation);
                              use(row, Pairs(x, layout, rows[thread / kWarpLanes]));
                            });
}

/// Sums over the candidates of a split. Grid: (splits, units).
template <vase_type T>
__global__ __launch_bounds__(kThreads) void sum_scores(DeviceCall call, Scratch scratch,
                                                       PairLayout layout) {
  extern __shared__ float vectors[];
  __shared__ Sums sums[kWarps][kMostGroup];
  const int unit = static_cast<int>(blockIdx.y), thread = static_cast<int>(threadIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  for (int i = thread; i < kWarps * kMostGroup; i += kThreads) (&sums[0][0])[i] = {};
  find_vectors(call, scratch, layout, unit, vectors);

  const int candidates = candidates_of(call, item);
  const int32_t* age = scratch.age + int64_t{unit} * call.row_capacity;
  for_pairs<T>(call, layout, unit, [&](int row, const Pairs& pairs) {
    if (age[row] >= candidates) return;
    for (int g = 0; g < call.group; ++g) {
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
  if (thread >= call.group) return;
  Sums all{};
  for (const auto& warp : sums) {
    all.scores += warp[thread].scores;
    all.squares += warp[thread].squares;
    all.rows += warp[thread].rows;
  }
  sums_of_split(scratch, unit, blockIdx.x)[thread] = all;
}

/// The largest standard score of each row. Grid: (splits, units).
template <vase_type T>
__global__ __launch_bounds__(kThreads) void standard_scores(DeviceCall call, Scratch scratch,
                                                            PairLayout layout) {
  extern __shared__ float vectors[];
  __shared__ double means[kMostGroup], inverse_deviations[kMostGroup];
  const int unit = static_cast<int>(blockIdx.y), thread = static_cast<int>(threadIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  if (thread < call.group) {
    Sums all{};
    for (unsigned split = 0; split < gridDim.x; ++split) {
      const Sums& own = sums_of_split(scratch, unit, split)[thread];
      all.scores += own.scores;
      all.squares += own.squares;
      all.rows += own.rows;
    }
    const double n = fmax(all.rows, 1.0), mean = all.scores / n;
    const double deviation = sqrt(fmax(all.squares / n - mean * mean, 0.0));
    means[thread] = mean;
    inverse_deviations[thread] = 1 / fmax(deviation, static_cast<double>(kLeastDeviation));
  }
  find_vectors(call, scratch, layout, unit, vectors);

  for_pairs<T>(call, layout, unit, [&](int row, const Pairs& pairs) {
    float best = -INFINITY;
    for (int g = 0; g < call.group; ++g) {
      const auto score =
          static_cast<double>(pairs.score(Vectors3(vectors, g, layout.pairs), layout.pairs));
      const auto standard = static_cast<float>((score - means[g]) * inverse_deviations[g]);
      best = isfinite(score) && !isnan(best) ? fmaxf(best, standard) : NAN;
    }
    if (thread % kWarpLanes == 0) scratch.first[int64_t{unit} * call.row_capacity + row] = best;
  });
}

}  // namespace

void usual_attention(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const PairLayout layout = pair_layout(call.rope.pairs, call.rope.stride, call.keys.dim);
  const size_t bytes =
      static_cast<size_t>(call.group) * 3 * static_cast<size_t>(layout.pairs) * sizeof(float);
  const dim3 grid(static_cast<unsigned>(row_splits(call.most_rows)),
                  static_cast<unsigned>(call.units()));
  with_type(call.keys.type, [&]<vase_type T>() {
    sum_scores<T><<<grid, kThreads, bytes, stream>>>(call, scratch, layout);
    standard_scores<T><<<grid, kThreads, bytes, stream>>>(call, scratch, layout);
  });
}

}  // namespace vase::cuda
