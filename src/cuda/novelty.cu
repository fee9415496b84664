// How far each candidate's key is from the nearest newer one (vase-plus), as score/novelty.cpp has
// it. A block of threads takes 64 candidates against all of the newest rows, a tile of both in
// shared memory for some elements at a time.
#include <cfloat>

#include "core/leverage_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/upright.hpp"
#include "cuda/warp_rows.cuh"

namespace vase::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;
constexpr int kWarpRows = 8, kBlockRows = kWarps * kWarpRows;  // candidates
constexpr int kLaneColumns = kNoveltyRows / kWarpLanes;        // newest rows of a thread
constexpr int kDepth = 16;                                     // elements at a time
static_assert(kThreads == kNoveltyRows, "a thread for each of the newest rows");

/// `kCount` rows of `kDepth` elements, element by element. The pitch spreads the writes of a warp,
/// which has 8 rows of 4 times 4 elements, over all banks.
template <int kCount>
struct Tile {
  float at[kDepth][kCount + 2];

  /// Row i is `row_at(i)` less `mean`, elements [first, first + kDepth); zeros for null rows.
  template <typename RowAt>
  __device__ void load(int first, int pitch, const float* mean, const RowAt& row_at) {
    constexpr int kParts = kDepth / 4;
    for (int i = static_cast<int>(threadIdx.x); i < kCount * kParts; i += kThreads) {
      const int row = i / kParts, d = i % kParts * 4;
      const float* from = row_at(row);
      float4 x{}, centre{};
      if (from != nullptr && first + d < pitch) {
        x = *reinterpret_cast<const float4*>(from + first + d);
        centre = *reinterpret_cast<const float4*>(mean + first + d);
      }
      at[d][row] = x.x - centre.x;
      at[d + 1][row] = x.y - centre.y;
      at[d + 2][row] = x.z - centre.z;
      at[d + 3][row] = x.w - centre.w;
    }
  }

  /// The part of row i's squared length that lies here.
  __device__ float square(int i) const {
    float sum = 0;
#pragma unroll
    for (const auto& element : at) sum = fmaf(element[i], element[i], sum);
    return sum;
  }
};

/// products[r][c] += rows of the warp times columns of the lane.
__device__ inline void multiply(const Tile<kBlockRows>& rows, const Tile<kNoveltyRows>& columns,
                                int warp, int lane, float (&products)[kWarpRows][kLaneColumns]) {
#pragma unroll
  for (int d = 0; d < kDepth; ++d) {
    float row[kWarpRows], column[kLaneColumns];
#pragma unroll
    for (int r = 0; r < kWarpRows; ++r) row[r] = rows.at[d][warp * kWarpRows + r];
#pragma unroll
    for (int c = 0; c < kLaneColumns; ++c) column[c] = columns.at[d][lane + c * kWarpLanes];
#pragma unroll
    for (int r = 0; r < kWarpRows; ++r)
#pragma unroll
      for (int c = 0; c < kLaneColumns; ++c)
        products[r][c] = fmaf(row[r], column[c], products[r][c]);
  }
}

__device__ inline float warp_min(float x) {
  for (int step = kWarpLanes / 2; step > 0; step /= 2)
    x = fminf(x, __shfl_xor_sync(kFullWarp, x, step));
  return x;
}

/// Of upright items. Grid: (blocks of candidates, units).
__global__ __launch_bounds__(kThreads) void novelty_kernel(DeviceCall call, Scratch scratch) {
  __shared__ Tile<kBlockRows> rows;
  __shared__ Tile<kNoveltyRows> columns;
  __shared__ float row_squares[kBlockRows], column_squares[kNoveltyRows];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kWarpLanes, warp = thread / kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int candidates = candidates_of(call, item);
  const int first = static_cast<int>(blockIdx.x) * kBlockRows;
  if (item.active == 0 || first >= candidates) return;
  const int n_columns = min(kNoveltyRows, item.n_rows), first_column = item.n_rows - n_columns;
  const int32_t* order = scratch.order + int64_t{unit} * call.row_capacity;
  const float* mean = scratch.means + int64_t{unit} * kMostDim;
  const auto key = [&](int age) {
    return reinterpret_cast<const float*>(row_of(item, item.keys, head, order[age]));
  };

  float products[kWarpRows][kLaneColumns] = {}, column_square = 0, row_square = 0;
  const int pitch = upright_pitch(call.keys.dim);
  for (int d = 0; d < pitch; d += kDepth) {
    rows.load(d, pitch, mean,
              [&](int i) { return first + i < candidates ? key(first + i) : nullptr; });
    columns.load(d, pitch, mean,
                 [&](int i) { return i < n_columns ? key(first_column + i) : nullptr; });
    __syncthreads();
    multiply(rows, columns, warp, lane, products);
    column_square += columns.square(thread);
    if (thread < kBlockRows) row_square += rows.square(thread);
    __syncthreads();
  }
  column_squares[thread] = thread < n_columns ? column_square : FLT_MAX;
  if (thread < kBlockRows) row_squares[thread] = row_square;
  __syncthreads();

  float* leverages = scratch.first + int64_t{unit} * call.row_capacity;
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) {
    const int candidate = first + warp * kWarpRows + r;
    float apart = FLT_MAX;
#pragma unroll
    for (int c = 0; c < kLaneColumns; ++c) {
      const int column = lane + c * kWarpLanes;
      if (first_column + column > candidate)
        apart = fminf(apart, fmaf(-2.0f, products[r][c], column_squares[column]));
    }
    apart = warp_min(apart);
    if (apart < FLT_MAX) apart = fmaxf(0.0f, apart + row_squares[warp * kWarpRows + r]);
    if (lane == 0 && candidate < candidates) {
      float& leverage = leverages[order[candidate]];
      leverage = bounded_leverage(leverage) * apart;
    }
  }
}

}  // namespace

void weigh_by_novelty(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(divide_up(call.most_rows, kBlockRows)),
                  static_cast<unsigned>(call.units()));
  novelty_kernel<<<grid, kThreads, 0, stream>>>(call, scratch);
}

}  // namespace vase::cuda
