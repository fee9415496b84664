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
template <vase_type T>
__global__ __launch_bounds__(kThreads) void sum_unit_keys(DeviceCall call, Scratch scratch) {
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int summed = rows_of_sum(call, item);
  const int32_t* age = scratch.age + int64_t{unit} * call.row_capacity;

  float sum[kSegment] = {};
  for_split_rows<T, kWarps>(item, item.keys, call.keys, head,
                            [&](int row, const float(&x)[kSegment]) {
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
                              for (int d = 0; d < kSegment; ++d)
                                sum[d] = fmaf(inverse_norm, x[d], sum[d]);
                            });
  store_split_sum<kWarps>(sum, scratch, unit);
}

/// Grid: (splits, units).
template <vase_type T>
__global__ __launch_bounds__(kThreads) void similarities_kernel(DeviceCall call, Scratch scratch) {
  __shared__ float unit_sum[kMostDim];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;

  unit_sum[threadIdx.x] = split_total(scratch, unit, threadIdx.x);
  __syncthreads();

  const auto n = static_cast<float>(candidates_of(call, item));
  for_split_rows<T, kWarps>(
      item, item.keys, call.keys, head, [&](int row, const float(&x)[kSegment]) {
        float dot = 0;
#pragma unroll
        for (int d = 0; d < kSegment; ++d) dot = fmaf(x[d], unit_sum[lane * kSegment + d], dot);
        dot = warp_sum(dot);
        const float inverse_norm = inverse_norms(call, scratch, unit)[row];
        const float with_itself = squares(call, scratch, unit)[row] * inverse_norm * inverse_norm;
        if (lane == 0)
          scratch.second[int64_t{unit} * call.row_capacity + row] =
              (dot * inverse_norm - with_itself) / n;
      });
}

/// The squared length of the vector whose element threadIdx.x is x, for all threads.
__device__ inline float block_square(float x) {
  __shared__ float parts[kWarps];
  const int thread = static_cast<int>(threadIdx.x);
  const float part = warp_sum(x * x);
  if (thread % kWarpLanes == 0) parts[thread / kWarpLanes] = part;
  __syncthreads();
  float square = 0;
  for (const float p : parts) square += p;
  return square;
}

/// Grid: (splits, units).
template <vase_type T>
__global__ __launch_bounds__(kThreads) void key_differences_kernel(DeviceCall call,
                                                                   Scratch scratch) {
  __shared__ float anchor[kMostDim];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;

  const float element = split_total(scratch, unit, threadIdx.x);
  anchor[threadIdx.x] = element / (sqrtf(block_square(element)) + 1e-8f);
  __syncthreads();

  for_split_rows<T, kWarps>(item, item.keys, call.keys, head,
                            [&](int row, const float(&x)[kSegment]) {
                              float dot = 0;
#pragma unroll
                              for (int d = 0; d < kSegment; ++d)
                                dot = fmaf(x[d], anchor[lane * kSegment + d], dot);
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

static_assert(kThreads == kMostDim, "a thread for each element of the sum");

int32_t row_splits(int32_t n_rows) { return divide_up(n_rows, kSplitRows); }

void similarities(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  with_type(call.keys.type, [&]<vase_type T>() {
    sum_unit_keys<T><<<grid_of(call), kThreads, 0, stream>>>(call, scratch);
    similarities_kernel<T><<<grid_of(call), kThreads, 0, stream>>>(call, scratch);
  });
}

void key_differences(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  with_type(call.keys.type, [&]<vase_type T>() {
    sum_unit_keys<T><<<grid_of(call), kThreads, 0, stream>>>(call, scratch);
    key_differences_kernel<T><<<grid_of(call), kThreads, 0, stream>>>(call, scratch);
  });
}

}  // namespace vase::cuda
