// The attention that rows have had so far (H2O), as policy/eviction.cpp sums it up.
#include "cuda/launch.hpp"
#include "cuda/segment.cuh"

namespace vase::cuda {
namespace {

constexpr int kThreads = 256;

/// Grid: (rows, units).
__global__ void add_to_sums_kernel(DeviceCall call, Scratch scratch) {
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int row = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0 || row >= item.n_rows) return;
  const int64_t at = int64_t{unit} * call.row_capacity + row;
  // Attention is averaged over the queries; what was attended to counts each of them.
  const float attention = scratch.first[at];
  float sum = attention * static_cast<float>(call.n_queries);
  if (scratch.age[at] >= attended_rows(call, item)) sum = isnan(attention) ? NAN : 0.0f;  // spoilt
  if (item.sums != nullptr) {
    float* so_far = sum_of(item, head, row);
    sum += *so_far;
    if (call.keeps_sums != 0) *so_far = sum;
  }
  scratch.first[at] = sum;
}

}  // namespace

void add_to_sums(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(divide_up(call.most_rows, kThreads)),
                  static_cast<unsigned>(call.units()));
  add_to_sums_kernel<<<grid, kThreads, 0, stream>>>(call, scratch);
}

}  // namespace vase::cuda
