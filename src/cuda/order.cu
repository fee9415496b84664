// The rows of each unit in the order of the tokens they stand for.
#include <cub/device/device_segmented_radix_sort.cuh>

#include "cuda/launch.hpp"
#include "cuda/segment.cuh"

namespace vase::cuda {
namespace {

constexpr int kThreads = 256;

/// Grid: (rows, units).
__global__ void gather_tokens(DeviceCall call, Scratch scratch) {
  const int unit = static_cast<int>(blockIdx.y),
            row = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int64_t first = int64_t{unit} * call.row_capacity;
  if (row == 0) {
    scratch.segments[unit] = static_cast<int32_t>(first);
    scratch.segments[call.units() + unit] =
        static_cast<int32_t>(first) + (item.active != 0 ? item.n_rows : 0);
  }
  if (row >= item.n_rows) return;

  int32_t token = row;
  if (item.positions != nullptr) {
    int32_t* at = item.positions + unit % call.n_heads * item.position_stride +
                  (item.cells != nullptr ? item.cells[row] : row);
    const int fresh = row - (item.n_rows - item.n_new);
    if (fresh >= 0)
      *at = token = item.new_position + fresh;
    else
      token = *at;
    if (fresh >= 0 && item.sums != nullptr) *sum_of(item, unit % call.n_heads, row) = 0;
  }
  scratch.tokens[first + row] = static_cast<uint32_t>(token) ^ kSignBit;
  scratch.order[first + row] = row;
}

__global__ void store_ages(DeviceCall call, Scratch scratch) {
  const int unit = static_cast<int>(blockIdx.y),
            age = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0 || age >= item.n_rows) return;
  const int64_t first = int64_t{unit} * call.row_capacity;
  scratch.age[first + scratch.order[first + age]] = age;
}

cudaError_t sort(void* space, size_t& bytes, cub::DoubleBuffer<uint32_t>& tokens,
                 cub::DoubleBuffer<int32_t>& order, const int32_t* segments, int32_t units,
                 int32_t row_capacity, int32_t bits, cudaStream_t stream) {
  return cub::DeviceSegmentedRadixSort::SortPairs(space, bytes, tokens, order, units * row_capacity,
                                                  units, segments, segments + units, 0, bits,
                                                  stream);
}

}  // namespace

size_t sort_space_wanted(int32_t units, int32_t row_capacity) {
  cub::DoubleBuffer<uint32_t> tokens;
  cub::DoubleBuffer<int32_t> order;
  size_t bytes = 0;
  sort(nullptr, bytes, tokens, order, nullptr, units, row_capacity, 32, nullptr);
  return bytes;
}

void order_rows(const DeviceCall& call, Scratch& scratch, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(divide_up(call.most_rows, kThreads)),
                  static_cast<unsigned>(call.units()));
  gather_tokens<<<grid, kThreads, 0, stream>>>(call, scratch);
  if (!call.recipe.evicts) return;

  cub::DoubleBuffer<uint32_t> tokens(scratch.tokens, scratch.tokens_too);
  cub::DoubleBuffer<int32_t> order(scratch.order, scratch.order_too);
  sort(scratch.sort_space, scratch.sort_bytes, tokens, order, scratch.segments, call.units(),
       call.row_capacity, call.token_bits, stream);
  scratch.tokens = tokens.Current();
  scratch.tokens_too = tokens.Alternate();
  scratch.order = order.Current();
  scratch.order_too = order.Alternate();
  store_ages<<<grid, kThreads, 0, stream>>>(call, scratch);
}

}  // namespace vase::cuda
