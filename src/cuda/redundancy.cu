// Cosines of each candidate's key, through the sum of unit keys: its mean cosine to the other
// candidates as score/redundancy.cpp has it (R-KV), and its cosine to the mean of all unit keys as
// score/key_difference.cpp has it (KeyDiff). Linear in the rows. A warp takes a row.
#include "cuda/launch.hpp"
#include "cuda/warp_rows.cuh"

namespace vase::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;

/// Arrays that nobody else uses before the choice.
__device__ inline float* inverse_norms(const DeviceCall& call, const Scratch& scratch, int unit) {
  return reinterpret_cast<float*>(scratch.ranking + int64_t{unit} * call.row_capacity);
}
__device__ inline float* squares(const DeviceCall& call, const Scratch& scratch, int unit) {
  return inverse_norms(call, scratch, unit) + call.row_capacity;
}

/// Rows whose unit keys are summed up, by age from the oldest.
__device__ inline int rows_of_sum(const DeviceCall& call, const DeviceItem& item) {
  return call.recipe.score == DeviceScore::kKeyDiff ? item.n_rows : candidates_of(call, item);
}

/// Norms, and the sum of the unit keys of a split but the spoilt ones. Grid: (splits, units).
template <vase_type T, int kPieces>
__global__ __launch_bounds__(kThreads) void sum_unit_keys(DeviceCall call, Scratch scratch) {
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int summed = rows_of_sum(call, item);
  const int32_t* age = scratch.age + int64_t{unit} * call.row_capacity;

  LaneRow<kPieces> sum = {};
  for_split_rows<T, kPieces, kWarps>(item, item.keys, call.keys, head,
                                     [&](int row, const LaneRow<kPieces>& x) {
                                       float square = 0;
#pragma unroll
                                       for (float v : x) square = fmaf(v, v, square);
                                       square = warp_sum(square);
                                       const float inverse_norm = 1.0f / (sqrtf(square) + 1e-8f);
                                       if (lane == 0) {
                                         inverse_norms(call, scratch, unit)[row] = inverse_norm;
                                         squares(call, scratch, unit)[row] = square;
                                       }
                                       if (age[row] >= summed || !isfinite(square)) return;
#pragma unroll
                                       for (int d = 0; d < kPieces * kSegment; ++d)
                                         sum[d] = fmaf(inverse_norm, x[d], sum[d]);
                                     });
  store_split_sum<kPieces, kWarps>(sum, scratch, unit);
}

/// Grid: (splits, units).
template <vase_type T, int kPieces>
__global__ __launch_bounds__(kThreads) void similarities_kernel(DeviceCall call, Scratch scratch) {
  constexpr int kElements = kPieces * kPiece;
  __shared__ float unit_sum[kElements];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;

  for (int i = static_cast<int>(threadIdx.x); i < kElements; i += kThreads)
    unit_sum[i] = split_total<kPieces>(scratch, unit, i);
  __syncthreads();

  const auto n = static_cast<float>(candidates_of(call, item));
  for_split_rows<T, kPieces, kWarps>(
      item, item.keys, call.keys, head, [&](int row, const LaneRow<kPieces>& x) {
        float dot = 0;
#pragma unroll
        for (int d = 0; d < kPieces * kSegment; ++d) dot = fmaf(x[d], unit_sum[place_of(d)], dot);
        dot = warp_sum(dot);
        const float inverse_norm = inverse_norms(call, scratch, unit)[row];
        const float with_itself = squares(call, scratch, unit)[row] * inverse_norm * inverse_norm;
        if (lane == 0)
          scratch.second[int64_t{unit} * call.row_capacity + row] =
              (dot * inverse_norm - with_itself) / n;
      });
}

/// The sum of the threads' x, for all threads.
__device__ inline float block_sum(float x) {
  __shared__ float parts[kWarps];
  const int thread = static_cast<int>(threadIdx.x);
  const float part = warp_sum(x);
  if (thread % kWarpLanes == 0) parts[thread / kWarpLanes] = part;
  __syncthreads();
  float sum = 0;
  for (const float p : parts) sum += p;
  return sum;
}

/// Grid: (splits, units).
template <vase_type T, int kPieces>
__global__ __launch_bounds__(kThreads) void key_differences_kernel(DeviceCall call,
                                                                   Scratch scratch) {
  __shared__ float anchor[kPieces * kPiece];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;

  static_assert(kThreads == kPiece, "a thread for an element of each piece");
  float elements[kPieces], square = 0;
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece) {
    elements[piece] =
        split_total<kPieces>(scratch, unit, piece * kPiece + static_cast<int>(threadIdx.x));
    square = fmaf(elements[piece], elements[piece], square);
  }
  const float length = sqrtf(block_sum(square)) + 1e-8f;
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece)
    anchor[piece * kPiece + static_cast<int>(threadIdx.x)] = elements[piece] / length;
  __syncthreads();

  for_split_rows<T, kPieces, kWarps>(item, item.keys, call.keys, head,
                                     [&](int row, const LaneRow<kPieces>& x) {
                                       float dot = 0;
#pragma unroll
                                       for (int d = 0; d < kPieces * kSegment; ++d)
                                         dot = fmaf(x[d], anchor[place_of(d)], dot);
                                       dot = warp_sum(dot);
                                       if (lane == 0)
                                         scratch.second[int64_t{unit} * call.row_capacity + row] =
                                             -dot * inverse_norms(call, scratch, unit)[row];
                                     });
}

dim3 grid_of(const DeviceCall& call) {
  return {static_cast<unsigned>(row_splits(call.most_rows)), static_cast<unsigned>(call.units())};
}

}  // namespace

int32_t row_splits(int32_t n_rows) { return divide_up(n_rows, kSplitRows); }

void similarities(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  with_pieces(call.keys, [&]<vase_type T, int kPieces>() {
    sum_unit_keys<T, kPieces><<<grid_of(call), kThreads, 0, stream>>>(call, scratch);
    similarities_kernel<T, kPieces><<<grid_of(call), kThreads, 0, stream>>>(call, scratch);
  });
}

void key_differences(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  with_pieces(call.keys, [&]<vase_type T, int kPieces>() {
    sum_unit_keys<T, kPieces><<<grid_of(call), kThreads, 0, stream>>>(call, scratch);
    key_differences_kernel<T, kPieces><<<grid_of(call), kThreads, 0, stream>>>(call, scratch);
  });
}

}  // namespace vase::cuda
