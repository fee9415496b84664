#include <algorithm>

#include "cuda/launch.hpp"
#include "cuda/row_group.cuh"
#include "cuda/upright.hpp"

namespace vase::cuda {
namespace {

constexpr int kThreads = 256;
/// Of a group of lanes.
template <int kDim>
constexpr int kRowsInFlight = RowGroup<kDim>::kPieces == 1 ? 4 : 1;
constexpr int kBlockRows = 512;  // of a block of threads, at most: it takes a while to begin

/// Copies of the items, with their keys where turn_back_kernel puts them: item i has place i %
/// room. Grid: blocks of items.
__global__ void place_items(DeviceCall call, Scratch scratch, int room) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= call.n_items) return;
  const int64_t row = upright_pitch(call.keys.dim), head = row * call.most_rows;
  uint16_t* keys = scratch.upright + i % room * (head * call.n_heads);
  constexpr int64_t kBytes = sizeof(uint16_t);
  DeviceItem item = call.items[i];
  item.keys = {reinterpret_cast<std::byte*>(keys), row * kBytes, head * kBytes};
  item.cells = nullptr;
  scratch.upright_items[i] = item;
}

/// The keys of `call`, rotated as stored, become those of upright items `to`, in the unit of
/// scratch.key_scales, and their squared lengths. Spoilt ones become 0, of infinite length: no
/// other is near them. A group of lanes takes a row. Grid: (splits, units).
template <vase_type T, int kDim, bool kFull, bool kPaired, bool kRotated>
__global__ __launch_bounds__(kThreads, (RowGroup<kDim>::kPieces == 1
                                            ? 4
                                            : 2)) void turn_back_kernel(DeviceCall call,
                                                                        Scratch scratch,
                                                                        const DeviceItem* to) {
  using Group = RowGroup<kDim>;
  constexpr int kGroups = kThreads / Group::kLanes, kRows = kRowsInFlight<kDim>;
  using Rope = RopeUndone<kDim, kPaired, kThreads>;
  __shared__ typename Rope::Shared shared;
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int begin = static_cast<int>(blockIdx.x) * kBlockRows;
  const int end = min(item.n_rows, begin + kBlockRows);
  if (item.active == 0 || begin >= end) return;
  const int32_t* order = scratch.order + int64_t{unit} * call.row_capacity;
  const uint32_t* tokens = scratch.tokens + int64_t{unit} * call.row_capacity;
  float* squares = upright_squares(call, scratch, unit);
  const Rope rope(call.rope, item.frequencies, shared);
  const int lane = Group::lane(), place = Group::place();
  float centre[Group::kElements];
#pragma unroll
  for (int d = 0; d < Group::kElements; ++d) {
    const int at = Group::segment(d / kSegment) * kSegment + d % kSegment;
    centre[d] = Group::has(d / kSegment) ? scratch.centres[int64_t{unit} * kMostDim + at] : 0.0f;
  }

  const float factor = scratch.key_scales[unit].factor;

  // Read here, since stores could change an item for all that the compiler knows.
  const std::byte* rows = item.keys.data + head * item.keys.head_stride;
  const int64_t stride = item.keys.row_stride;
  const int32_t* cells_of_rows = item.cells;
  const DeviceRows& upright = to[unit / call.n_heads].keys;
  auto* out = reinterpret_cast<uint4*>(upright.data + head * upright.head_stride);
  const int pitch = upright_pitch(Group::kPieces == 1 ? kDim : call.keys.dim) / kSegment;

  constexpr int kStep = kRows * kGroups;
  int cells[kRows], positions[kRows];
  const auto find = [&](int first) {  // a step before they are read: the way there is long
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int age = min(first + r * kGroups + place, end - 1);
      cells[r] = cells_of_rows != nullptr ? cells_of_rows[order[age]] : order[age];
      positions[r] = token_of(tokens[age]);
    }
  };
  find(begin);
  for (int first = begin; first < end; first += kStep) {
    GroupRow<T, kDim> fetched[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r)
      fetched[r].template fetch<kFull>(rows + cells[r] * stride, call.keys);
    int tokens_here[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) tokens_here[r] = positions[r];
    find(first + kStep);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int age = first + r * kGroups + place;
      float x[Group::kElements];
      fetched[r].values(x);
      if constexpr (kRotated) rotate(x, lane, call.keys.rotation);
      rope.turn(x, tokens_here[r]);
      float square = 0, rounded_square = 0;
      uint4 rounded[Group::kPieces];
#pragma unroll
      for (int piece = 0; piece < Group::kPieces; ++piece) {
        float own[kSegment];
#pragma unroll
        for (int d = 0; d < kSegment; ++d) {
          own[d] = (x[piece * kSegment + d] - centre[piece * kSegment + d]) * factor;
          square = fmaf(own[d], own[d], square);
        }
        rounded[piece] = round_to_half(own);
        half_values(rounded[piece], own);
#pragma unroll
        for (const float v : own) rounded_square = fmaf(v, v, rounded_square);
      }
      if (!isfinite(square)) rounded_square = INFINITY;  // rounding would hide it
      for (int step = Group::kLanes / 2; step > 0; step /= 2)
        rounded_square += __shfl_xor_sync(kFullWarp, rounded_square, step);
      if (age >= end) continue;
#pragma unroll
      for (int piece = 0; piece < Group::kPieces; ++piece)
        if (Group::segment(piece) < pitch)
          out[age * pitch + Group::segment(piece)] =
              isfinite(rounded_square) ? rounded[piece] : uint4{};
      if (lane == 0) squares[age] = rounded_square;
    }
  }
}

/// What is left, behind the first `unit` units, of the scratch arrays that keys are turned back by
/// and compared in.
Scratch behind(Scratch scratch, const DeviceCall& call, int64_t unit) {
  scratch.tokens += unit * call.row_capacity;
  scratch.order += unit * call.row_capacity;
  scratch.first += unit * call.row_capacity;
  scratch.ranking += unit * call.row_capacity;
  scratch.centres += unit * kMostDim;
  scratch.key_scales += unit;
  return scratch;
}

}  // namespace

UprightKeys::UprightKeys(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream)
    : call_(call), scratch_(scratch), stream_(stream) {
  const int64_t fitting =
      scratch.upright_elements / upright_elements(call.n_heads, call.most_rows, call.keys.dim);
  const auto most = static_cast<int32_t>(std::min<int64_t>(fitting, call.n_items));
  room_ = divide_up(call.n_items, divide_up(call.n_items, most));  // chunks of one size
  place_items<<<static_cast<unsigned>(divide_up(call.n_items, kThreads)), kThreads, 0, stream>>>(
      call, scratch, room_);
  rough_centres(call, scratch, stream);
}

int32_t UprightKeys::chunks() const { return divide_up(call_.n_items, room_); }

UprightKeys::Chunk UprightKeys::turn_back(int32_t index) const {
  const int32_t first = index * room_;
  Chunk chunk{call_, behind(scratch_, call_, int64_t{first} * call_.n_heads)};
  chunk.call.items += first;
  chunk.call.n_items = std::min(room_, call_.n_items - first);
  const DeviceItem* items = scratch_.upright_items + first;
  const dim3 grid(static_cast<unsigned>(divide_up(call_.most_rows, kBlockRows)),
                  static_cast<unsigned>(chunk.call.units()));
  with_keys(call_, [&]<vase_type T, int kDim, bool kFull, bool kPaired>() {
    const auto launch = [&](auto kernel) {
      kernel<<<grid, kThreads, 0, stream_>>>(chunk.call, chunk.scratch, items);
    };
    if (call_.keys.rotation == 0)
      launch(turn_back_kernel<T, kDim, kFull, kPaired, false>);
    else
      launch(turn_back_kernel<T, kDim, kFull, kPaired, true>);
  });
  chunk.call.items = items;
  chunk.call.keys = {VASE_F16, upright_pitch(call_.keys.dim), 0, 1};
  return chunk;
}

}  // namespace vase::cuda
