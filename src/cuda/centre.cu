// A rough centre of each unit's keys before RoPE, and the unit in which they are compared: so
// neither rounding to f16 nor squared distances lose much, however large the mean and the keys are.
#include "cuda/launch.hpp"
#include "cuda/row_group.cuh"

namespace vase::cuda {
namespace {

constexpr int kThreads = 256;

/// Grid: units.
template <vase_type T, int kDim, bool kPaired>
__global__ __launch_bounds__(kThreads) void centre_kernel(DeviceCall call, Scratch scratch) {
  using Group = RowGroup<kDim>;
  constexpr int kGroups = kThreads / Group::kLanes;
  using Rope = RopeUndone<kDim, kPaired, kThreads>;
  __shared__ typename Rope::Shared shared;
  __shared__ float sums[kGroups][kDim];
  __shared__ float squares[kGroups];
  __shared__ int counts[kGroups];
  const int unit = static_cast<int>(blockIdx.x), head = unit % call.n_heads;
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = Group::lane(), place = Group::place();
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int candidates = candidates_of(call, item), count = min(kScaleRows, candidates);
  if (item.active == 0 || count == 0) return;
  const int64_t first_row = int64_t{unit} * call.row_capacity;
  const Rope rope(call.rope, item.frequencies, shared);

  float sum[Group::kElements] = {}, squared = 0;
  int counted = 0;
  for (int first = 0; first < count; first += kGroups) {
    const int sample = min(first + place, count - 1);
    const int age = scale_sample(sample, count, candidates);
    GroupRow<T, kDim> row;
    row.template fetch<false>(row_of(item, item.keys, head, scratch.order[first_row + age]),
                              call.keys);
    float x[Group::kElements];
    row.values(x);
    if (call.keys.rotation != 0) rotate(x, lane, call.keys.rotation);
    if (call.rope.pairs > 0) rope.turn(x, token_of(scratch.tokens[first_row + age]));
    float square = 0;
#pragma unroll
    for (const float v : x) square = fmaf(v, v, square);
    for (int step = Group::kLanes / 2; step > 0; step /= 2)
      square += __shfl_xor_sync(kFullWarp, square, step);
    if (first + place >= count || !isfinite(square)) continue;
    squared += square;
    ++counted;
#pragma unroll
    for (int d = 0; d < Group::kElements; ++d) sum[d] += x[d];
  }
  if (lane == 0) {
    squares[place] = squared;
    counts[place] = counted;
  }
#pragma unroll
  for (int d = 0; d < Group::kElements; ++d)
    if (Group::has(d / kSegment))
      sums[place][Group::segment(d / kSegment) * kSegment + d % kSegment] = sum[d];
  __syncthreads();
  int finite = 0;
  for (const int part : counts) finite += part;
  if (thread == 0) {
    float total = 0;
    for (const float part : squares) total += part;
    scratch.key_scales[unit] =
        finite > 0 ? key_scale(total / static_cast<float>(finite)) : KeyScale{};
  }
  for (int i = thread; i < kDim; i += kThreads) {
    float total = 0;
    for (const auto& part : sums) total += part[i];
    scratch.centres[int64_t{unit} * kMostDim + i] = total / static_cast<float>(max(finite, 1));
  }
}

}  // namespace

void rough_centres(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  with_keys(call, [&]<vase_type T, int kDim, bool kFull, bool kPaired>() {
    centre_kernel<T, kDim, kPaired>
        <<<static_cast<unsigned>(call.units()), kThreads, 0, stream>>>(call, scratch);
  });
}

}  // namespace vase::cuda
