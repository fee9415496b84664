#include <algorithm>

#include "core/rope_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/rotate.cuh"
#include "cuda/upright.hpp"
#include "cuda/warp_rows.cuh"

namespace vase::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;
constexpr int kRowsInFlight = 4;  // of a warp

/// Copies of the items, with their keys where turn_back_kernel puts them: item i has place i %
/// room. Grid: blocks of items.
__global__ void place_items(DeviceCall call, Scratch scratch, int room) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= call.n_items) return;
  const int64_t row = upright_pitch(call.keys.dim), head = row * call.most_rows;
  float* keys = scratch.upright + i % room * (head * call.n_heads);
  constexpr int64_t kBytes = sizeof(float);
  DeviceItem item = call.items[i];
  item.keys = {reinterpret_cast<std::byte*>(keys), row * kBytes, head * kBytes};
  item.cells = nullptr;
  scratch.upright_items[i] = item;
}

/// Turns the pairs of a warp's row back by the angles of token position `position`.
__device__ inline void turn_pairs(float* row, const RopeShape& rope, const uint32_t* steps,
                                  int32_t position) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  for (int i = lane; i < rope.pairs; i += kWarpLanes) {
    float* pair = row + (rope.stride == 1 ? 2 * i : i);
    float sine, cosine;
    sincospif(2.0f * rope_turns(steps[i], position), &sine, &cosine);
    const float a = pair[0], b = pair[rope.stride];
    pair[0] = fmaf(a, cosine, b * sine);
    pair[rope.stride] = fmaf(b, cosine, -a * sine);
  }
}

/// The keys of `call`, rotated as stored, become those of upright items `to`. A warp
/// takes a row. Grid: (splits, units).
template <vase_type T>
__global__ __launch_bounds__(kThreads) void turn_back_kernel(DeviceCall call, Scratch scratch,
                                                             const DeviceItem* to) {
  __shared__ __align__(16) float rows[kWarps][kMostDim];
  __shared__ uint32_t steps[kMostDim / 2];
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const DeviceItem& upright = to[unit / call.n_heads];
  const int32_t* order = scratch.order + int64_t{unit} * call.row_capacity;
  const uint32_t* tokens = scratch.tokens + int64_t{unit} * call.row_capacity;
  for (int i = static_cast<int>(threadIdx.x); i < call.rope.pairs; i += kThreads)
    steps[i] = rope_step(item.frequencies[i]);
  __syncthreads();

  float* row = rows[warp];
  const int begin = static_cast<int>(blockIdx.x) * kSplitRows;
  const int end = min(item.n_rows, begin + kSplitRows);
  for (int first = begin + warp; first < end; first += kRowsInFlight * kWarps) {
    Segment<T> segments[kRowsInFlight]{};
#pragma unroll
    for (int r = 0; r < kRowsInFlight; ++r)
      if (first + r * kWarps < end && lane * kSegment < call.keys.dim)
        segments[r].fetch(row_of(item, item.keys, head, order[first + r * kWarps]), lane,
                          call.keys);
#pragma unroll
    for (int r = 0; r < kRowsInFlight; ++r) {
      const int i = first + r * kWarps;
      if (i >= end) break;
      float x[kSegment];
      segments[r].values(x);
      if (call.keys.rotation != 0) rotate(x, lane, call.keys.rotation);
      auto* mine = reinterpret_cast<float4*>(row + lane * kSegment);
      mine[0] = {x[0], x[1], x[2], x[3]};
      mine[1] = {x[4], x[5], x[6], x[7]};
      __syncwarp();
      turn_pairs(row, call.rope, steps, token_of(tokens[i]));
      __syncwarp();
      auto* out = reinterpret_cast<float4*>(row_of(upright, upright.keys, head, order[i]));
      for (int d = lane; d < upright_pitch(call.keys.dim) / 4; d += kWarpLanes)
        out[d] = reinterpret_cast<const float4*>(row)[d];
      __syncwarp();
    }
  }
}

/// What is left of the scratch arrays by unit behind the first `unit` units.
Scratch behind(Scratch scratch, const DeviceCall& call, const RowShape& rows, int64_t unit) {
  const Vectors vectors = factors_of(call, rows);
  scratch.tokens += unit * call.row_capacity;
  scratch.order += unit * call.row_capacity;
  scratch.first += unit * call.row_capacity;
  scratch.means += unit * kMostDim;
  scratch.grams += unit * vectors.dim * vectors.dim;
  scratch.planes += unit * vectors.planes * vectors.plane_elements();
  scratch.constants += unit * vectors.padded;
  return scratch;
}

}  // namespace

UprightKeys::UprightKeys(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream)
    : call_(call), scratch_(scratch), stream_(stream) {
  const int64_t fitting =
      scratch.upright_elements / upright_elements(call.n_heads, call.most_rows, call.keys.dim);
  room_ = static_cast<int32_t>(std::min<int64_t>(fitting, call.n_items));
  place_items<<<static_cast<unsigned>(divide_up(call.n_items, kThreads)), kThreads, 0, stream>>>(
      call, scratch, room_);
}

int32_t UprightKeys::chunks() const { return divide_up(call_.n_items, room_); }

RowShape UprightKeys::shape() const { return {VASE_F32, call_.keys.dim, 0, 1}; }

UprightKeys::Chunk UprightKeys::turn_back(int32_t index) {
  const int32_t first = index * room_;
  Chunk chunk{call_, behind(scratch_, call_, shape(), int64_t{first} * call_.n_heads)};
  chunk.call.items += first;
  chunk.call.n_items = std::min(room_, call_.n_items - first);
  const DeviceItem* items = scratch_.upright_items + first;
  if (index != held_) {
    const dim3 grid(static_cast<unsigned>(row_splits(call_.most_rows)),
                    static_cast<unsigned>(chunk.call.units()));
    with_type(call_.keys.type, [&]<vase_type T>() {
      turn_back_kernel<T><<<grid, kThreads, 0, stream_>>>(chunk.call, chunk.scratch, items);
    });
    held_ = index;
  }
  chunk.call.items = items;
  chunk.call.keys = shape();
  return chunk;
}

}  // namespace vase::cuda
