// In-place compaction, as core/hole_filling.cpp: the k-th kept row inside the block that is vacated
// moves over the k-th given-up row outside.
#include <cub/block/block_scan.cuh>

#include "core/rows.hpp"
#include "cuda/launch.hpp"
#include "cuda/segment.cuh"

namespace vase::cuda {
namespace {

constexpr int kPlanners = 256, kWarp = 32;
constexpr int kMovers = 4, kMoves = 4;  // warps of a block; moves of a warp

struct Counts {
  int sources, holes;
};
struct AddCounts {
  __device__ Counts operator()(const Counts& a, const Counts& b) const {
    return {a.sources + b.sources, a.holes + b.holes};
  }
};

/// Grid: units.
__global__ __launch_bounds__(kPlanners) void plan_kernel(DeviceCall call, Scratch scratch,
                                                         const uint8_t* keep, int vacate_first,
                                                         int32_t* moved) {
  using Scan = cub::BlockScan<Counts, kPlanners>;
  __shared__ typename Scan::TempStorage scan;
  const int unit = static_cast<int>(blockIdx.x), head = unit % call.n_heads;
  const DeviceItem& item = call.items[unit / call.n_heads];
  const uint8_t* own = keep + int64_t{unit} * call.row_capacity;
  int2* moves = scratch.moves + int64_t{unit} * (call.row_capacity / 2);
  const int vacate_end = vacate_first + item.freed;
  const auto inside = [&](int row) { return row >= vacate_first && row < vacate_end; };
  const auto cell = [&](int row) { return item.cells != nullptr ? item.cells[row] : row; };

  const int share = divide_up(item.n_rows, kPlanners);
  const int begin = min(item.n_rows, static_cast<int>(threadIdx.x) * share);
  const int end = min(item.n_rows, begin + share);
  Counts mine{0, 0}, before, all;
  for (int row = begin; row < end; ++row) {
    const bool stays = own[row] != 0;
    mine.sources += inside(row) && stays ? 1 : 0;
    mine.holes += !inside(row) && !stays ? 1 : 0;
  }
  Scan(scan).ExclusiveScan(mine, before, Counts{0, 0}, AddCounts{}, all);

  // As many holes as sources: so the mask gives up `freed` rows. Else nothing is touched.
  const bool fits = all.sources == all.holes;
  if (threadIdx.x == 0) {
    scratch.n_moves[unit] = fits ? all.sources : 0;
    if (moved != nullptr) moved[unit] = fits ? all.sources : -1;
  }
  if (!fits) return;
  for (int row = begin; row < end; ++row) {
    const bool stays = own[row] != 0;
    if (inside(row) && stays) moves[before.sources++].x = cell(row);
    if (!inside(row) && !stays) moves[before.holes++].y = cell(row);
  }
  __syncthreads();
  const auto follow = [&](auto* of_items) {  // [heads][position_stride] by cell, or null
    if (of_items == nullptr) return;
    auto* own = of_items + head * item.position_stride;
    for (int m = static_cast<int>(threadIdx.x); m < all.sources; m += kPlanners)
      own[moves[m].y] = own[moves[m].x];
  };
  follow(item.positions);
  follow(item.sums);
}

/// The lanes of a warp copy keys and values of kMoves moves, Word by Word, several on the way at
/// once.
template <typename Word>
__global__ __launch_bounds__(kMovers* kWarp) void move_kernel(DeviceCall call, Scratch scratch,
                                                              int key_words, int value_words) {
  const int unit = static_cast<int>(blockIdx.y), head = unit % call.n_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int first =
      (static_cast<int>(blockIdx.x) * kMovers + static_cast<int>(threadIdx.x) / kWarp) * kMoves;
  const int count = min(kMoves, scratch.n_moves[unit] - first);
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int2* moves = scratch.moves + int64_t{unit} * (call.row_capacity / 2) + first;
  const auto word = [&](int64_t cell, int w) {
    const bool key = w < key_words;
    const DeviceRows& rows = key ? item.keys : item.values;
    return reinterpret_cast<Word*>(rows.data + cell * rows.row_stride + head * rows.head_stride) +
           (key ? w : w - key_words);
  };
  for (int w = lane; w < key_words + value_words; w += kWarp) {
    Word carried[kMoves];
#pragma unroll
    for (int m = 0; m < kMoves; ++m)
      if (m < count) carried[m] = *word(moves[m].x, w);
#pragma unroll
    for (int m = 0; m < kMoves; ++m)
      if (m < count) *word(moves[m].y, w) = carried[m];
  }
}

int bytes_of(const RowShape& shape) { return static_cast<int>(row_bytes(shape.type, shape.dim)); }

template <typename Word>
void launch(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(divide_up(call.most_freed, kMovers * kMoves)),
                  static_cast<unsigned>(call.units()));
  constexpr int kBytes = sizeof(Word);
  move_kernel<Word><<<grid, kMovers * kWarp, 0, stream>>>(
      call, scratch, bytes_of(call.keys) / kBytes, bytes_of(call.values) / kBytes);
}

}  // namespace

void plan_moves(const DeviceCall& call, const Scratch& scratch, const uint8_t* keep,
                int32_t vacate_first, int32_t* moved, cudaStream_t stream) {
  plan_kernel<<<static_cast<unsigned>(call.units()), kPlanners, 0, stream>>>(call, scratch, keep,
                                                                             vacate_first, moved);
}

void move_rows(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  if (call.most_freed == 0) return;
  const bool wide = call.keys.vector_loads != 0 && call.values.vector_loads != 0 &&
                    bytes_of(call.keys) % 16 == 0 && bytes_of(call.values) % 16 == 0;
  if (wide)
    launch<uint4>(call, scratch, stream);
  else
    launch<uint16_t>(call, scratch, stream);
}

}  // namespace vase::cuda
