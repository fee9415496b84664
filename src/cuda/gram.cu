// Products of the candidates' elements with each other, X^T X, and their mean, for the leverage of
// vase-plus, on the tensor cores. f16 rows travel into shared memory as they are, others become
// f16.
#include <cuda_pipeline.h>

#include "cuda/launch.hpp"
#include "cuda/row_group.cuh"

namespace vase::cuda {
namespace {

constexpr int kTile = 64;   // rows and columns of the matrix, of a block
constexpr int kPatch = 32;  // of these, of a warp
constexpr int kStage = 32;  // rows in shared memory at a time
constexpr int kStages = 4;  // on their way at a time
constexpr int kRun = 1024;  // rows whose products are added up before they join the others
constexpr int kAcross = kTile / kPatch;
constexpr int kWarps = kAcross * kAcross, kThreads = kWarps * kWarpLanes;
constexpr int kTileSegments = kTile / kSegment;
constexpr int kPitch = 2 * kTile + 8;  // elements: eight rows share no bank
static_assert(kRun % kStage == 0 && kStage % 16 == 0);

using Stage = __half[kStage][kPitch];

/// The keys or the values of a unit. The order in which a sum takes the rows does not matter:
/// upright keys come by age, values by cell.
struct Side {
  bool values;
  RowShape shape;
};

/// Brings the candidates' elements of one or two tiles of columns into shared memory. A thread
/// brings the same segment of several rows of a stage.
template <vase_type T, bool kFull, bool kDiagonal>
class Loader {
 public:
  static constexpr int kSegments = (kDiagonal ? 1 : 2) * kTileSegments;  // of a row
  static constexpr int kApart = kThreads / kSegments;  // rows between those of a thread
  static constexpr int kShare = kStage / kApart;

  /// Where this thread's rows of a stage are; null: no candidate.
  using Places = const std::byte* [kShare];

  __device__ Loader(const DeviceItem& item, const Side& side, const int32_t* age, int head,
                    int candidates, int above, int left)
      : shape_(side.shape), candidates_(candidates) {
    const DeviceRows& rows = side.values ? item.values : item.keys;
    const int within = static_cast<int>(threadIdx.x) % kSegments;
    n_rows_ = side.values ? item.n_rows : candidates;
    age_ = side.values ? age : nullptr;
    cells_ = side.values ? item.cells : nullptr;
    place_ = static_cast<int>(threadIdx.x) / kSegments;
    column_ = within * kSegment;
    segment_ = (within < kTileSegments ? above : left) * kTileSegments + within % kTileSegments;
    rows_ = rows.data + head * rows.head_stride;
    stride_ = rows.row_stride;
  }

  __device__ int n_rows() const { return n_rows_; }

  /// Looks up the stage from row `first` on, a stage before it is brought: the way there is long.
  __device__ void find(int first, Places& places) const {
    int cells[kShare], ages[kShare];
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      const int row = min(first + place_ + i * kApart, n_rows_ - 1);
      ages[i] = age_ != nullptr ? age_[row] : row;
      cells[i] = cells_ != nullptr ? cells_[row] : row;
    }
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      const bool candidate = first + place_ + i * kApart < n_rows_ && ages[i] < candidates_;
      places[i] = candidate ? rows_ + cells[i] * stride_ : nullptr;
    }
  }

  /// Starts with the rows that were found; zeros for the others.
  __device__ void load(const Places& places, Stage& stage) const {
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      auto* to = reinterpret_cast<uint4*>(&stage[place_ + i * kApart][column_]);
      if constexpr (T == VASE_F16 && kFull) {
        const bool none = places[i] == nullptr;
        __pipeline_memcpy_async(to, (none ? rows_ : places[i]) + segment_ * 16, 16, none ? 16 : 0);
      } else {
        Segment<T> carried{};
        if (places[i] != nullptr && segment_ * kSegment < shape_.dim)
          carried.fetch(places[i], segment_, shape_);
        float x[kSegment];
        carried.values(x);
        *to = round_to_half(x);
      }
    }
    __pipeline_commit();
  }

 private:
  const RowShape& shape_;
  const std::byte* rows_;
  int64_t stride_;
  const int32_t *age_, *cells_;
  int n_rows_, candidates_;
  int segment_;  // of this thread, within the row
  int place_, column_;
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
/// Sums of the patch's columns: the rows of a tile are all the same.
using Sums = float[kPatch / 8][4];

/// products += X^T Y of a stage, X its columns from `above` and Y those from `left` on; if kSum,
/// sums += those of Y.
template <bool kSum>
__device__ inline void multiply(const Stage& stage, int above, int left, Patch& products,
                                Sums& sums) {
  constexpr uint32_t kOnes = 0x3c003c00u;
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
    for (int n = 0; n < kPatch / 8; ++n) {
      const uint32_t y_low = y[n / 2][n % 2 * 2], y_high = y[n / 2][n % 2 * 2 + 1];
#pragma unroll
      for (int m = 0; m < kPatch / 16; ++m)
        multiply_add<true>(products[m][n], x[m][0], x[m][1], x[m][2], x[m][3], y_low, y_high);
      if constexpr (kSum) multiply_add<true>(sums[n], kOnes, kOnes, kOnes, kOnes, y_low, y_high);
    }
  }
}

/// total += sum, which is 0 then: numbers and arrays of them.
__device__ inline void flush(float& sum, float& total) {
  total += sum;
  sum = 0;
}
template <typename T, int kCount>
__device__ inline void flush(T (&sums)[kCount], T (&totals)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) flush(sums[i], totals[i]);
}

/// Tile (above, left) of the upper triangle of a unit's matrix.
template <vase_type T, int kDim, bool kFull, bool kDiagonal>
__device__ inline void multiply_tile(const DeviceCall& call, const Scratch& scratch,
                                     const Side& side, int unit, int above, int left,
                                     Stage (&stages)[kStages]) {
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int candidates = candidates_of(call, item);
  using Loading = Loader<T, kFull, kDiagonal>;
  const Loading loader(item, side, scratch.age + int64_t{unit} * call.row_capacity,
                       unit % call.n_heads, candidates, above, left);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / kWarpLanes, lane = thread % kWarpLanes;
  const int patch_above = warp / kAcross * kPatch, patch_left = warp % kAcross * kPatch;
  const int from = (kDiagonal ? 0 : kTile) + patch_left;
  const bool sum = kDiagonal && patch_above == 0;
  Patch products{}, total_products{};
  Sums sums{}, total_sums{};
  typename Loading::Places places;
  for (int s = 0; s < kStages - 1; ++s) {
    loader.find(s * kStage, places);
    loader.load(places, stages[s]);
  }
  loader.find((kStages - 1) * kStage, places);
  for (int first = 0, s = 0; first < loader.n_rows(); first += kStage, s = (s + 1) % kStages) {
    __pipeline_wait_prior(kStages - 2);
    __syncthreads();  // this stage has come for all threads, and all are through with the last one
    loader.load(places, stages[(s + kStages - 1) % kStages]);
    loader.find(first + kStages * kStage, places);
    if (sum)
      multiply<true>(stages[s], patch_above, from, products, sums);
    else
      multiply<false>(stages[s], patch_above, from, products, sums);
    if ((first + kStage) % kRun != 0 && first + kStage < loader.n_rows()) continue;
    flush(products, total_products);
    flush(sums, total_sums);
  }

  float* gram = scratch.grams + int64_t{unit} * kDim * kDim;
  float* mean = scratch.means + int64_t{unit} * kMostDim;
#pragma unroll
  for (int n = 0; n < kPatch / 8; ++n) {
    const int column = left * kTile + patch_left + n * 8 + lane % 4 * 2;
#pragma unroll
    for (int m = 0; m < kPatch / 16; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = above * kTile + patch_above + m * 16 + half * 8 + lane / 4;
        const float* pair = total_products[m][n] + 2 * half;
        *reinterpret_cast<float2*>(gram + row * kDim + column) = {pair[0], pair[1]};
      }
    if (sum && lane < 4) {
      mean[column] = total_sums[n][0] / static_cast<float>(candidates);
      mean[column + 1] = total_sums[n][1] / static_cast<float>(candidates);
    }
  }
}

/// A tile of the upper triangle a block. Grid: (tiles of the triangle, units).
template <vase_type T, int kDim, bool kFull>
__global__ __launch_bounds__(kThreads, 4) void gram_kernel(DeviceCall call, Scratch scratch,
                                                           Side side) {
  __shared__ __align__(16) Stage stages[kStages];
  const int unit = static_cast<int>(blockIdx.y);
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0 || candidates_of(call, item) == 0) return;
  int above = static_cast<int>(blockIdx.x), left = 0;  // rows and columns, in tiles
  for (; above > left; ++left) above -= left + 1;
  if (above == left)
    multiply_tile<T, kDim, kFull, true>(call, scratch, side, unit, above, left, stages);
  else
    multiply_tile<T, kDim, kFull, false>(call, scratch, side, unit, above, left, stages);
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
