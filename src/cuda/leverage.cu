// Ridge leverage of keys and values (vase-plus) as score/leverage.cpp has it: the mean of the
// candidates' rows, the Gram matrix of the rows less their mean, the inverse of its Cholesky
// factor; in the end the score of both. The squared lengths of the rows times the factor are taken
// by row_sums.cu.
#include <cub/block/block_reduce.cuh>

#include "core/leverage_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/warp_rows.cuh"

namespace vase::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;
static_assert(kThreads == kMostDim, "a thread for each element of a row");

constexpr int kTile = 64;                         // rows and columns of the matrix, of a block
constexpr int kPatch = 4;                         // of these, of a thread
constexpr int kTileSegments = kTile / kSegment;   // of a row
constexpr int kStage = kThreads / kTileSegments;  // candidates in shared memory at a time
constexpr int kRun = 8 * kStage;  // candidates whose products are added in f32; runs are in f64

/// The keys or the values of a unit.
struct Side {
  bool values;
  RowShape shape;
  int pitch;  ///< of the matrix: dim as padded

  __device__ const DeviceRows& rows(const DeviceItem& item) const {
    return values ? item.values : item.keys;
  }
};

/// Rows of a split of the candidates, added up. Grid: (splits, units).
template <vase_type T>
__global__ __launch_bounds__(kThreads) void sum_rows_kernel(DeviceCall call, Scratch scratch,
                                                            Side side) {
  __shared__ float sums[kWarps][kMostDim];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int32_t* order = scratch.order + int64_t{unit} * call.row_capacity;

  const int begin = static_cast<int>(blockIdx.x) * kSplitRows;
  const int end = min(candidates_of(call, item), begin + kSplitRows);
  float sum[kSegment] = {};
#pragma unroll 4
  for (int i = begin + warp; i < end; i += kWarps) {
    float x[kSegment];
    read_row<T>(row_of(item, side.rows(item), head, order[i]), side.shape, x);
#pragma unroll
    for (int d = 0; d < kSegment; ++d) sum[d] += x[d];
  }
#pragma unroll
  for (int d = 0; d < kSegment; ++d) sums[warp][lane * kSegment + d] = sum[d];
  __syncthreads();
  float total = 0;
  for (const auto& part : sums) total += part[threadIdx.x];
  scratch.row_sums[(int64_t{unit} * gridDim.x + blockIdx.x) * kMostDim + threadIdx.x] = total;
}

/// Candidates on their way into shared memory, less their mean: the elements of one or two tiles. A
/// thread carries a segment of each.
template <vase_type T>
struct Stage {
  const DeviceItem& item;
  const Side& side;
  const int32_t* order;
  const float* mean;
  int head, candidates;
  int tiles[2];
  Segment<T> segments[2];
  bool there = false;

  __device__ int place() const { return static_cast<int>(threadIdx.x) / kTileSegments; }
  __device__ int segment_of(int t) const {
    return tiles[t] * kTileSegments + static_cast<int>(threadIdx.x) % kTileSegments;
  }

  __device__ void fetch(int first) {
    there = first + place() < candidates;
    if (!there) return;
    const std::byte* row = row_of(item, side.rows(item), head, order[first + place()]);
#pragma unroll
    for (int t = 0; t < 2; ++t)
      if (segment_of(t) * kSegment < side.shape.dim && (t == 0 || tiles[1] != tiles[0]))
        segments[t].fetch(row, segment_of(t), side.shape);
  }

  __device__ void store(float (&out)[2][kStage][kTile]) const {
#pragma unroll
    for (int t = 0; t < 2; ++t) {
      if (t == 1 && tiles[1] == tiles[0]) break;
      float x[kSegment];
      segments[t].values(x);
      float* to = &out[t][place()][segment_of(t) % kTileSegments * kSegment];
#pragma unroll
      for (int d = 0; d < kSegment; ++d)
        to[d] = there ? x[d] - mean[segment_of(t) * kSegment + d] : 0.0f;
    }
  }
};

/// Mean of the candidates' rows, from the sums of the splits.
__device__ float mean_element(const Scratch& scratch, int unit, int splits, int candidates) {
  float sum = 0;
  for (int split = 0; split < splits; ++split)
    sum += scratch.row_sums[(int64_t{unit} * splits + split) * kMostDim + threadIdx.x];
  return sum / static_cast<float>(candidates);
}

/// The upper triangle of the Gram matrix, a tile a block. Grid: (tiles of the triangle, units).
template <vase_type T>
__global__ __launch_bounds__(kThreads) void gram_kernel(DeviceCall call, Scratch scratch, Side side,
                                                        int splits) {
  __shared__ float mean[kMostDim];
  __shared__ __align__(16) float staged[2][kStage][kTile];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int candidates = candidates_of(call, item);
  int above = static_cast<int>(blockIdx.x), left = 0;  // rows and columns, in tiles
  for (; above > left; ++left) above -= left + 1;

  mean[threadIdx.x] = mean_element(scratch, unit, splits, candidates);
  if (blockIdx.x == 0) scratch.means[int64_t{unit} * kMostDim + threadIdx.x] = mean[threadIdx.x];
  __syncthreads();

  Stage<T> stage{item,          side, scratch.order + int64_t{unit} * call.row_capacity,
                 mean,          head, candidates,
                 {above, left}, {}};
  const auto& columns = staged[above == left ? 0 : 1];
  const int a = static_cast<int>(threadIdx.x) / (kTile / kPatch) * kPatch;
  const int b = static_cast<int>(threadIdx.x) % (kTile / kPatch) * kPatch;
  double totals[kPatch][kPatch] = {};
  float sums[kPatch][kPatch] = {};
  stage.fetch(0);
  for (int first = 0; first < candidates; first += kStage) {
    __syncthreads();
    stage.store(staged);
    __syncthreads();
    if (first + kStage < candidates) stage.fetch(first + kStage);
#pragma unroll 8
    for (int i = 0; i < kStage; ++i) {
      const float4 x = *reinterpret_cast<const float4*>(&staged[0][i][a]);
      const float4 y = *reinterpret_cast<const float4*>(&columns[i][b]);
      const float row[kPatch] = {x.x, x.y, x.z, x.w}, column[kPatch] = {y.x, y.y, y.z, y.w};
#pragma unroll
      for (int r = 0; r < kPatch; ++r)
#pragma unroll
        for (int c = 0; c < kPatch; ++c) sums[r][c] = fmaf(row[r], column[c], sums[r][c]);
    }
    if ((first + kStage) % kRun != 0 && first + kStage < candidates) continue;
#pragma unroll
    for (int r = 0; r < kPatch; ++r)
#pragma unroll
      for (int c = 0; c < kPatch; ++c) {
        totals[r][c] += static_cast<double>(sums[r][c]);
        sums[r][c] = 0;
      }
  }

  float* gram = scratch.grams + int64_t{unit} * side.pitch * side.pitch;
#pragma unroll
  for (int r = 0; r < kPatch; ++r)
#pragma unroll
    for (int c = 0; c < kPatch; ++c)
      gram[(above * kTile + a + r) * side.pitch + left * kTile + b + c] =
          static_cast<float>(totals[r][c]);
}

/// Above and on the diagonal: m with the ridge becomes U, U^T U = m. A thread has a column and,
/// where columns are few, a part of the sums.
__device__ void factorise(float* m, int dim, int pitch) {
  __shared__ double parts[kThreads];
  __shared__ double root;
  const int thread = static_cast<int>(threadIdx.x);
  const int column = thread % pitch, part = thread / pitch, n_parts = kThreads / pitch;

  parts[thread] = thread < dim ? static_cast<double>(m[thread * pitch + thread]) : 0;
  __syncthreads();
  double trace = 0;
  for (const double element : parts) trace += element;
  const double ridge = ridge_of(trace, dim);
  __syncthreads();

  for (int k = 0; k < dim; ++k) {
    const bool mine = column >= k && column < dim;
    double sum = 0;
    if (mine)
#pragma unroll 8
      for (int i = part; i < k; i += n_parts)
        sum = fma(static_cast<double>(m[i * pitch + k]), static_cast<double>(m[i * pitch + column]),
                  sum);
    parts[thread] = sum;
    __syncthreads();
    double left = 0;
    if (part == 0 && mine) {
      left = static_cast<double>(m[k * pitch + column]) + (column == k ? ridge : 0.0);
      for (int p = 0; p < n_parts; ++p) left -= parts[p * pitch + column];
      if (column == k) root = sqrt(left);
    }
    __syncthreads();
    if (part == 0 && mine) m[k * pitch + column] = static_cast<float>(left / root);
    __syncthreads();
  }
}

/// Below and on the diagonal: the inverse of the transposed U, U itself above. A thread has a
/// column; those of a warp take the same steps, so that they read the same of U and neighbours
/// below.
__device__ void invert(float* m, int dim, int pitch) {
  __shared__ double inverses[kMostDim];  // of the diagonal
  const int column = static_cast<int>(threadIdx.x);
  if (column < dim) inverses[column] = 1 / static_cast<double>(m[column * pitch + column]);
  __syncthreads();
  if (column < dim) {
    const int first = column / kWarpLanes * kWarpLanes;
    for (int i = first + 1; i < dim; ++i) {
      double sum = 0;
#pragma unroll 8
      for (int k = first; k < i; ++k) {
        const float below = m[k * pitch + column];
        const double w = k > column    ? static_cast<double>(below)
                         : k == column ? inverses[column]
                                       : 0.0;
        sum = fma(static_cast<double>(m[k * pitch + i]), w, sum);
      }
      if (i > column) m[i * pitch + column] = static_cast<float>(-sum * inverses[i]);
    }
    m[column * pitch + column] = static_cast<float>(inverses[column]);
  }
}

/// Grid: units.
__global__ __launch_bounds__(kThreads) void factor_kernel(DeviceCall call, Scratch scratch,
                                                          Side side) {
  const int unit = static_cast<int>(blockIdx.x);
  if (call.items[unit / call.n_heads].active == 0) return;
  float* m = scratch.grams + int64_t{unit} * side.pitch * side.pitch;
  factorise(m, side.shape.dim, side.pitch);
  invert(m, side.shape.dim, side.pitch);
}

using BlockSum = cub::BlockReduce<double, kThreads>;

struct SharedSum {
  typename BlockSum::TempStorage storage;
  double sum;
};

/// The sum of x over the threads, for all of them.
__device__ double block_sum(double x, SharedSum& shared) {
  x = BlockSum(shared.storage).Sum(x);
  if (threadIdx.x == 0) shared.sum = x;
  __syncthreads();
  return shared.sum;
}

/// As LogStandard of score/leverage.cpp: z of the logarithm, over the first `n` rows of `order`.
class LogStandard {
 public:
  __device__ LogStandard(const float* leverages, const int32_t* order, int n, SharedSum& shared) {
    const auto mean_of = [&](const auto& term) {
      double sum = 0;
      for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads)
        sum += term(log_of(leverages[order[i]]));
      return block_sum(sum, shared) / n;
    };
    mean_ = mean_of([](double x) { return x; });
    const double variance = mean_of([&](double x) { return (x - mean_) * (x - mean_); });
    deviation_ = fmax(sqrt(variance), kLowestDeviation);
  }
  __device__ double operator()(float leverage) const {
    return (log_of(leverage) - mean_) / deviation_;
  }

 private:
  __device__ static double log_of(float leverage) {
    return log(static_cast<double>(bounded_leverage(leverage)));
  }

  double mean_, deviation_;
};

/// scratch.first of the candidates becomes their score: combine_leverages() of score/leverage.cpp.
/// Grid: units.
__global__ __launch_bounds__(kThreads) void combine_kernel(DeviceCall call, Scratch scratch) {
  __shared__ SharedSum shared;
  const int unit = static_cast<int>(blockIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int64_t first = int64_t{unit} * call.row_capacity;
  const int32_t* order = scratch.order + first;
  float *scores = scratch.first + first, *others = scratch.second + first;
  const int n = candidates_of(call, item);
  const LogStandard z_score(scores, order, n, shared), z_other(others, order, n, shared);
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads)
    scores[order[i]] = static_cast<float>(z_score(scores[order[i]]) + z_other(others[order[i]]));
}

void launch(const DeviceCall& call, const Scratch& scratch, const Side& side, cudaStream_t stream) {
  const auto units = static_cast<unsigned>(call.units());
  const int splits = row_splits(call.most_rows), tiles = side.pitch / kTile;
  with_type(side.shape.type, [&]<vase_type T>() {
    sum_rows_kernel<T>
        <<<dim3(static_cast<unsigned>(splits), units), kThreads, 0, stream>>>(call, scratch, side);
    gram_kernel<T>
        <<<dim3(static_cast<unsigned>(tiles * (tiles + 1) / 2), units), kThreads, 0, stream>>>(
            call, scratch, side, splits);
  });
  factor_kernel<<<units, kThreads, 0, stream>>>(call, scratch, side);
  pack_factors(call, side.shape, scratch, stream);
  factor_energies(call, side.values, scratch, stream);
}

}  // namespace

void ridge_leverages(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  launch(call, scratch, {false, call.keys, padded_dim(call.keys.dim)}, stream);
  launch(call, scratch, {true, call.values, padded_dim(call.values.dim)}, stream);
  combine_kernel<<<static_cast<unsigned>(call.units()), kThreads, 0, stream>>>(call, scratch);
}

}  // namespace vase::cuda
