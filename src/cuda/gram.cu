// The Gram matrix of the candidates' keys or values less their mean, for the leverage of vase-plus,
// on the tensor cores: rows less a rough centre are rounded to f16, as upright keys are already.
#include "cuda/launch.hpp"
#include "cuda/row_group.cuh"

namespace vase::cuda {
namespace {

constexpr int kTile = 64;   // rows and columns of the matrix, of a block
constexpr int kPatch = 32;  // of these, of a warp
constexpr int kStage = 32;  // candidates in shared memory at a time
constexpr int kRun = 1024;  // candidates whose products are added up before they join the others
constexpr int kAcross = kTile / kPatch;
constexpr int kWarps = kAcross * kAcross, kThreads = kWarps * kWarpLanes;
constexpr int kTileSegments = kTile / kSegment;
constexpr int kPitch = 2 * kTile + 8;  // elements: eight rows share no bank
static_assert(kRun % kStage == 0 && kStage % 16 == 0);

/// The keys or the values of a unit.
struct Side {
  bool values;  ///< less their centre, which upright keys are already; in the order of cells
  RowShape shape;
};

/// The candidates' elements of one or two tiles of columns on their way into shared memory. A
/// thread carries the same segment of several candidates.
template <vase_type T, int kDim, bool kFull>
struct Loader {
  static constexpr int kMost = kStage * 2 * kTileSegments / kThreads;
  const DeviceItem& item;
  const Side& side;
  const int32_t* order;
  int head, candidates;
  int segments;  ///< of a row: those of one tile, or two
  int segment;   ///< of this thread, within the row
  Segment<T> carried[kMost]{};
  float centre[kSegment]{}, sum[kSegment]{};

  __device__ int place(int i) const {
    return (static_cast<int>(threadIdx.x) + i * kThreads) / segments;
  }
  __device__ bool has(int i) const { return i * kThreads < kStage * segments; }

  __device__ void fetch(int first) {
    const DeviceRows& rows = side.values ? item.values : item.keys;
#pragma unroll
    for (int i = 0; i < kMost; ++i) {
      if (!has(i) || (!kFull && segment * kSegment >= side.shape.dim)) continue;
      const int age = min(first + place(i), candidates - 1);
      const std::byte* row = row_of(item, rows, head, side.values ? order[age] : age);
      carried[i].template fetch<kFull>(row, segment, side.shape);
    }
  }

  /// Zeros where there is no candidate.
  __device__ void store(int first, __half (&stage)[kStage][kPitch]) {
    const int column = static_cast<int>(threadIdx.x) % segments * kSegment;
#pragma unroll
    for (int i = 0; i < kMost; ++i) {
      if (!has(i)) break;
      float x[kSegment];
      carried[i].values(x);
      const bool there = first + place(i) < candidates;
#pragma unroll
      for (int d = 0; d < kSegment; ++d) x[d] = there ? x[d] - centre[d] : 0.0f;
      const uint4 rounded = round_to_half(x);
      half_values(rounded, x);
#pragma unroll
      for (int d = 0; d < kSegment; ++d) sum[d] += x[d];
      *reinterpret_cast<uint4*>(&stage[place(i)][column]) = rounded;
    }
  }
};

/// Four 8 x 8 matrices, transposed; `at`: the lane's row of them.
__device__ inline void load_transposed(uint32_t (&out)[4], const __half* at) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(at));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

/// A warp's patch of the matrix: tiles of 16 x 8 as the tensor cores return them.
using Patch = float[kPatch / 16][kPatch / 8][4];

/// sums += X^T Y of a stage, X its columns from `above` and Y those from `left` on.
__device__ inline void multiply(const __half (&stage)[kStage][kPitch], int above, int left,
                                Patch& sums) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int low = lane / 8 % 2 * 8, high = lane / 16 * 8, row = lane % 8;
#pragma unroll
  for (int first = 0; first < kStage; first += 16) {
    uint32_t x[kPatch / 16][4], y[kPatch / 16][4];
#pragma unroll
    for (int i = 0; i < kPatch / 16; ++i) {
      load_transposed(x[i], &stage[first + high + row][above + i * 16 + low]);
      load_transposed(y[i], &stage[first + low + row][left + i * 16 + high]);
    }
#pragma unroll
    for (int m = 0; m < kPatch / 16; ++m)
#pragma unroll
      for (int n = 0; n < kPatch / 8; ++n)
        multiply_add<true>(sums[m][n], x[m][0], x[m][1], x[m][2], x[m][3], y[n / 2][n % 2 * 2],
                           y[n / 2][n % 2 * 2 + 1]);
  }
}

/// totals += sums, which are 0 then.
__device__ inline void flush(Patch& sums, Patch& totals) {
#pragma unroll
  for (int m = 0; m < kPatch / 16; ++m)
#pragma unroll
    for (int n = 0; n < kPatch / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        totals[m][n][i] += sums[m][n][i];
        sums[m][n][i] = 0;
      }
}

/// The upper triangle of the Gram matrix, a tile a block. Grid: (tiles of the triangle, units).
template <vase_type T, int kDim, bool kFull>
__global__ __launch_bounds__(kThreads, 4) void gram_kernel(DeviceCall call, Scratch scratch,
                                                           Side side) {
  __shared__ __align__(16) __half stages[2][kStage][kPitch];
  __shared__ float column_sums[kThreads][kSegment + 1];
  __shared__ float columns[2 * kTile];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int thread = static_cast<int>(threadIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int candidates = candidates_of(call, item);
  if (item.active == 0 || candidates == 0) return;
  int above = static_cast<int>(blockIdx.x), left = 0;  // rows and columns, in tiles
  for (; above > left; ++left) above -= left + 1;
  const bool diagonal = above == left;

  Loader<T, kDim, kFull> loader{.item = item,
                                .side = side,
                                .order = scratch.order + int64_t{unit} * call.row_capacity,
                                .head = head,
                                .candidates = candidates,
                                .segments = diagonal ? kTileSegments : 2 * kTileSegments};
  const int in_stage = thread % loader.segments;
  loader.segment =
      (in_stage < kTileSegments ? above : left) * kTileSegments + in_stage % kTileSegments;
  const float* centre = scratch.centres + int64_t{unit} * kMostDim;
  if (side.values)
#pragma unroll
    for (int d = 0; d < kSegment; ++d) loader.centre[d] = centre[loader.segment * kSegment + d];

  const int warp = thread / kWarpLanes, lane = thread % kWarpLanes;
  const int patch_above = warp / kAcross * kPatch, patch_left = warp % kAcross * kPatch;
  Patch sums{}, totals{};
  loader.fetch(0);
  for (int first = 0, buffer = 0; first < candidates; first += kStage, buffer ^= 1) {
    loader.store(first, stages[buffer]);
    __syncthreads();  // all have stored, and all are through with the other buffer's next content
    if (first + kStage < candidates) loader.fetch(first + kStage);
    multiply(stages[buffer], patch_above, (diagonal ? 0 : kTile) + patch_left, sums);
    if ((first + kStage) % kRun == 0) flush(sums, totals);
  }
  flush(sums, totals);

#pragma unroll
  for (int d = 0; d < kSegment; ++d) column_sums[thread][d] = loader.sum[d];
  __syncthreads();
  if (thread < loader.segments * kSegment) {
    float sum = 0;
    for (int i = thread / kSegment; i < kThreads; i += loader.segments)
      sum += column_sums[i][thread % kSegment];
    columns[thread] = sum;
    const int element = above * kTile + thread;
    if (diagonal)
      scratch.means[int64_t{unit} * kMostDim + element] =
          (side.values ? centre[element] : 0.0f) + sum / static_cast<float>(candidates);
  }
  __syncthreads();

  // About the centre the products are n m m^T too large, m = mean - centre.
  const float* left_columns = columns + (diagonal ? 0 : kTile);
  float* gram = scratch.grams + int64_t{unit} * kDim * kDim;
#pragma unroll
  for (int m = 0; m < kPatch / 16; ++m)
#pragma unroll
    for (int n = 0; n < kPatch / 8; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int a = patch_above + m * 16 + half * 8 + lane / 4;
        const int b = patch_left + n * 8 + lane % 4 * 2;
        const float m_a = columns[a] / static_cast<float>(candidates);
        const float2 pair{fmaf(-m_a, left_columns[b], totals[m][n][2 * half]),
                          fmaf(-m_a, left_columns[b + 1], totals[m][n][2 * half + 1])};
        *reinterpret_cast<float2*>(gram + (above * kTile + a) * kDim + left * kTile + b) = pair;
      }
}

}  // namespace

void gram_matrices(const DeviceCall& call, bool values, const Scratch& scratch,
                   cudaStream_t stream) {
  const Side side{values, values ? call.values : call.keys};
  const int tiles = padded_dim(side.shape.dim) / kTile;
  const dim3 grid(static_cast<unsigned>(tiles * (tiles + 1) / 2),
                  static_cast<unsigned>(call.units()));
  with_row_shape(side.shape, padded_dim(side.shape.dim), [&]<vase_type T, int kDim, bool kFull>() {
    gram_kernel<T, kDim, kFull><<<grid, kThreads, 0, stream>>>(call, scratch, side);
  });
}

}  // namespace vase::cuda
