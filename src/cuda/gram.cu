// The Gram matrix of the candidates' keys or values less their mean, for the leverage of vase-plus.
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
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
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
  store_split_sum<kWarps>(sum, scratch, unit);
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

}  // namespace

void gram_matrices(const DeviceCall& call, bool values, const Scratch& scratch,
                   cudaStream_t stream) {
  const RowShape& shape = values ? call.values : call.keys;
  const Side side{values, shape, padded_dim(shape.dim)};
  const auto units = static_cast<unsigned>(call.units());
  const int splits = row_splits(call.most_rows), tiles = side.pitch / kTile;
  const dim3 parts(static_cast<unsigned>(splits), units);
  const dim3 triangle(static_cast<unsigned>(tiles * (tiles + 1) / 2), units);
  with_type(shape.type, [&]<vase_type T>() {
    sum_rows_kernel<T><<<parts, kThreads, 0, stream>>>(call, scratch, side);
    gram_kernel<T><<<triangle, kThreads, 0, stream>>>(call, scratch, side, splits);
  });
}

}  // namespace vase::cuda
