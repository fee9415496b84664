// A rough centre of each unit's rows: about it neither rounding to f16 nor the sums of products
// lose much, however large the mean is (score/leverage.cpp has one too).
#include "cuda/launch.hpp"
#include "cuda/row_group.cuh"

namespace vase::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kCentreRows = 128;  // candidates from all over the text, at most

/// Of keys before RoPE, or of values as they are stored. Grid: units.
template <vase_type T, int kDim>
__global__ __launch_bounds__(kThreads) void centre_kernel(DeviceCall call, Scratch scratch,
                                                          bool values) {
  constexpr int kGroups = kThreads / RowGroup<kDim>::kLanes;
  __shared__ __align__(16) float staged[kGroups][kDim];
  __shared__ uint32_t steps[kMostDim / 2];
  const int unit = static_cast<int>(blockIdx.x), head = unit % call.n_heads;
  const int thread = static_cast<int>(threadIdx.x);
  const int place = thread / RowGroup<kDim>::kLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int candidates = candidates_of(call, item), count = min(kCentreRows, candidates);
  if (item.active == 0 || count == 0) return;
  const int64_t first_row = int64_t{unit} * call.row_capacity;
  const RowShape& shape = values ? call.values : call.keys;
  const bool turned = !values && call.rope.pairs > 0;
  if (turned)
    for (int i = thread; i < call.rope.pairs; i += kThreads)
      steps[i] = rope_step(item.frequencies[i]);
  __syncthreads();

  const RowGroup<kDim> group{.staged = staged[place]};
  float sum[kSegment] = {};
  for (int first = 0; first < count; first += kGroups) {
    const int sample = min(first + place, count - 1);
    const auto age = static_cast<int>(int64_t{sample} * candidates / count);
    Segment<T> segment{};
    if (group.lane * kSegment < shape.dim)
      segment.fetch(
          row_of(item, values ? item.values : item.keys, head, scratch.order[first_row + age]),
          group.lane, shape);
    float x[kSegment];
    segment.values(x);
    if (!values && shape.rotation != 0) rotate(x, group.lane, shape.rotation);
    if (turned) group.turn_back(x, call.rope, steps, token_of(scratch.tokens[first_row + age]));
    if (first + place >= count) continue;
#pragma unroll
    for (int d = 0; d < kSegment; ++d) sum[d] += x[d];
  }
#pragma unroll
  for (int d = 0; d < kSegment; ++d) group.staged[group.lane * kSegment + d] = sum[d];
  __syncthreads();
  if (thread >= kDim) return;
  float total = 0;
  for (const auto& part : staged) total += part[thread];
  scratch.centres[int64_t{unit} * kMostDim + thread] = total / static_cast<float>(count);
}

}  // namespace

void rough_centres(const DeviceCall& call, bool values, const Scratch& scratch,
                   cudaStream_t stream) {
  const RowShape& shape = values ? call.values : call.keys;
  with_row_shape(shape, padded_dim(shape.dim), [&]<vase_type T, int kDim, bool kFull>() {
    centre_kernel<T, kDim>
        <<<static_cast<unsigned>(call.units()), kThreads, 0, stream>>>(call, scratch, values);
  });
}

}  // namespace vase::cuda
