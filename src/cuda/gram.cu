// Products of the candidates' elements with each other, X^T X, and their mean, for the leverage of
// vase-plus, on the tensor cores. f16 rows travel into shared memory as they are, others become
// f16.
#include <cuda_pipeline.h>

#include "cuda/launch.hpp"
#include "cuda/row_group.cuh"
#include "cuda/upright.hpp"

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

/// Where a thread's part of a tile's rows is: the same segment of several rows of a stage.
template <bool kDiagonal>
struct Share {
  static constexpr int kSegments = (kDiagonal ? 1 : 2) * kTileSegments;  // of a row
  static constexpr int kApart = kThreads / kSegments;  // rows between those of a thread
  static constexpr int kRows = kStage / kApart;

  /// Of the tiles of columns `above` and `left`.
  __device__ Share(int above, int left) {
    const int thread = static_cast<int>(threadIdx.x), within = thread % kSegments;
    place = thread / kSegments;
    column = within * kSegment;
    segment = (within < kTileSegments ? above : left) * kTileSegments + within % kTileSegments;
  }

  __device__ uint4* in(Stage& stage, int i) const {
    return reinterpret_cast<uint4*>(&stage[place + i * kApart][column]);
  }

  int place;    ///< the first of its rows within a stage
  int column;   ///< within a stage
  int segment;  ///< within a row
};

/// Brings a unit's upright keys into shared memory, which lie by age without gaps.
template <int kDim, bool kDiagonal>
class KeyLoader {
 public:
  using Part = Share<kDiagonal>;

  __device__ KeyLoader(const DeviceItem& item, int head, int candidates, const Part& part)
      : part_(part), left_(candidates - part.place) {
    from_ = item.keys.data + head * item.keys.head_stride + part.place * kPitchBytes +
            part.segment * 16;
  }

  /// Starts with the next stage; zeros behind the last candidate.
  __device__ void load(Stage& stage) {
#pragma unroll
    for (int i = 0; i < Part::kRows; ++i) {
      const bool there = i * Part::kApart < left_;
      __pipeline_memcpy_async(part_.in(stage, i),
                              from_ + (there ? i * Part::kApart * kPitchBytes : 0), 16,
                              there ? 0 : 16);
    }
    __pipeline_commit();
    if (left_ > kStage) from_ += kStage * kPitchBytes;
    left_ -= kStage;
  }

 private:
  static constexpr int kPitchBytes = upright_pitch(kDim) * 2;
  Part part_;
  const std::byte* from_;
  int left_;
};

/// Brings a unit's values into shared memory in the order of its rows: that in which a sum takes
/// them does not matter.
template <vase_type T, bool kFull, bool kDiagonal>
class ValueLoader {
 public:
  using Part = Share<kDiagonal>;

  __device__ ValueLoader(const DeviceItem& item, const RowShape& shape, const int32_t* age,
                         int head, int candidates, const Part& part)
      : part_(part),
        shape_(shape),
        rows_(item.values.data + head * item.values.head_stride),
        stride_(item.values.row_stride),
        age_(age),
        cells_(item.cells),
        next_(part.place),
        n_rows_(item.n_rows),
        candidates_(candidates) {
    find();
  }

  /// Starts with the next stage; zeros where there is no candidate.
  __device__ void load(Stage& stage) {
#pragma unroll
    for (int i = 0; i < Part::kRows; ++i) {
      const bool there = ages_[i] < candidates_;
      const std::byte* row = rows_ + static_cast<int64_t>(found_[i]) * stride_;
      if constexpr (T == VASE_F16 && kFull) {
        __pipeline_memcpy_async(part_.in(stage, i), row + part_.segment * 16, 16, there ? 0 : 16);
      } else {
        Segment<T> carried{};
        if (there && part_.segment * kSegment < shape_.dim)
          carried.fetch(row, part_.segment, shape_);
        float x[kSegment];
        carried.values(x);
        *part_.in(stage, i) = round_to_half(x);
      }
    }
    __pipeline_commit();
    find();
  }

 private:
  Part part_;
  const RowShape& shape_;
  const std::byte* rows_;
  int64_t stride_;
  const int32_t *age_, *cells_;
  int next_, n_rows_, candidates_;
  int found_[Part::kRows];  // cells of this thread's rows of the next stage
  int ages_[Part::kRows];   // their ages

  /// Looks up the next stage, a stage before it is brought: the way there is long.
  __device__ void find() {
#pragma unroll
    for (int i = 0; i < Part::kRows; ++i) {
      const int row = next_ + i * Part::kApart, there = min(row, n_rows_ - 1);
      const int age = age_[there];
      ages_[i] = row < n_rows_ ? age : candidates_;
      found_[i] = cells_ != nullptr ? cells_[there] : there;
    }
    next_ += kStage;
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

/// Tile (above, left) of the upper triangle of a unit's matrix, and if kDiagonal the mean of its
/// columns; `loader` brings n_rows rows, zeros where there is no candidate.
template <int kDim, bool kDiagonal, typename Loader>
__device__ inline void multiply_tile(const Scratch& scratch, Loader& loader, int n_rows,
                                     int candidates, int unit, int above, int left,
                                     Stage (&stages)[kStages]) {
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / kWarpLanes, lane = thread % kWarpLanes;
  const int patch_above = warp / kAcross * kPatch, patch_left = warp % kAcross * kPatch;
  const int from = (kDiagonal ? 0 : kTile) + patch_left;
  const bool sum = kDiagonal && patch_above == 0;
  Patch products{}, total_products{};
  Sums sums{}, total_sums{};
  for (int s = 0; s < kStages - 1; ++s) loader.load(stages[s]);
  for (int first = 0, s = 0; first < n_rows; first += kStage, s = (s + 1) % kStages) {
    __pipeline_wait_prior(kStages - 2);
    __syncthreads();  // this stage has come for all threads, and all are through with the last one
    loader.load(stages[(s + kStages - 1) % kStages]);
    if (sum)
      multiply<true>(stages[s], patch_above, from, products, sums);
    else
      multiply<false>(stages[s], patch_above, from, products, sums);
    if ((first + kStage) % kRun != 0 && first + kStage < n_rows) continue;
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

/// Calls use.operator()<diagonal>(above, left) for the tile of the upper triangle that a block has.
template <typename Use>
__device__ inline void with_tile(const Use& use) {
  int above = static_cast<int>(blockIdx.x), left = 0;  // rows and columns, in tiles
  for (; above > left; ++left) above -= left + 1;
  if (above == left)
    use.template operator()<true>(above, left);
  else
    use.template operator()<false>(above, left);
}

/// Of upright items. Grid: (tiles of the triangle, units).
template <int kDim>
__global__ __launch_bounds__(kThreads, 4) void key_gram_kernel(DeviceCall call, Scratch scratch) {
  __shared__ __align__(16) Stage stages[kStages];
  const int unit = static_cast<int>(blockIdx.y);
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int candidates = candidates_of(call, item);
  if (item.active == 0 || candidates == 0) return;
  with_tile([&]<bool kDiagonal>(int above, int left) {
    KeyLoader<kDim, kDiagonal> loader(item, unit % call.n_heads, candidates, {above, left});
    multiply_tile<kDim, kDiagonal>(scratch, loader, candidates, candidates, unit, above, left,
                                   stages);
  });
}

/// Grid: (tiles of the triangle, units).
template <vase_type T, int kDim, bool kFull>
__global__ __launch_bounds__(kThreads, 4) void value_gram_kernel(DeviceCall call, Scratch scratch) {
  __shared__ __align__(16) Stage stages[kStages];
  const int unit = static_cast<int>(blockIdx.y);
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int candidates = candidates_of(call, item);
  if (item.active == 0 || candidates == 0) return;
  const int32_t* age = scratch.age + int64_t{unit} * call.row_capacity;
  with_tile([&]<bool kDiagonal>(int above, int left) {
    ValueLoader<T, kFull, kDiagonal> loader(item, call.values, age, unit % call.n_heads, candidates,
                                            {above, left});
    multiply_tile<kDim, kDiagonal>(scratch, loader, item.n_rows, candidates, unit, above, left,
                                   stages);
  });
}

dim3 grid_of(const DeviceCall& call, const RowShape& rows) {
  const int tiles = padded_dim(rows.dim) / kTile;
  return {static_cast<unsigned>(tiles * (tiles + 1) / 2), static_cast<unsigned>(call.units())};
}

}  // namespace

void gram_matrices_of_keys(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  with_dim(padded_dim(call.keys.dim), [&]<int kDim>() {
    key_gram_kernel<kDim><<<grid_of(call, call.keys), kThreads, 0, stream>>>(call, scratch);
  });
}

void gram_matrices_of_values(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const dim3 grid = grid_of(call, call.values);
  with_row_shape(call.values, padded_dim(call.values.dim),
                 [&]<vase_type T, int kDim, bool kFull>() {
                   value_gram_kernel<T, kDim, kFull><<<grid, kThreads, 0, stream>>>(call, scratch);
                 });
}

}  // namespace vase::cuda
