#include "cuda/workspace.hpp"

#include <algorithm>

#include "cuda/launch.hpp"
#include "cuda/trigonometric.hpp"
#include "cuda/upright.hpp"
#include "cuda/vectors.hpp"

namespace vase::cuda {
namespace {

constexpr size_t kAlignment = 256;

/// Planes of a vector beside f16 rows, and beside others at most: calls with queries for those take
/// fewer items a turn, but one item always fits.
constexpr int64_t kPlanes = 2, kMostPlanes = 3;

/// What CUB's sort takes beside its two buffers does not depend on a device, but only a device can
/// be asked; vase_cuda_create checks that this holds it.
constexpr size_t kSortBytes = 1 << 16;

}  // namespace

Layout::Layout(const vase_cuda_limits& limits, std::byte* memory, size_t upright_bytes) {
  const auto take = [&]<typename T>(T*& at, int64_t count) {
    at = memory != nullptr ? reinterpret_cast<T*>(memory + bytes) : nullptr;
    bytes += (static_cast<size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  };
  const int64_t units = int64_t{limits.items} * limits.n_heads;
  const int64_t rows = units * limits.n_rows;
  const int32_t group = limits.n_query_heads / limits.n_heads;
  const int64_t dim = padded_dim(std::max(limits.keys_dim, limits.values_dim));
  const int64_t queries = units * pad_to_tiles(group * limits.n_queries);
  const int64_t projections = int64_t{limits.items} * kMostProjections;
  vector_constants = std::max(queries, projections);
  const int64_t item_queries = queries / limits.items;
  plane_elements =
      dim * std::max({queries * kPlanes, item_queries * kMostPlanes, projections * kMostPlanes});
  const int64_t upright = upright_elements(limits.n_heads, limits.n_rows, limits.keys_dim);
  const int64_t upright_room = static_cast<int64_t>(upright_bytes / sizeof(uint16_t)) / upright;
  scratch.upright_elements = upright * std::clamp<int64_t>(upright_room, 1, limits.items);
  partials = queries * key_splits(limits.n_rows);

  take(scratch.tokens, rows);
  take(scratch.tokens_too, rows);
  take(scratch.order, rows);
  take(scratch.order_too, rows);
  take(scratch.segments, 2 * units);
  take(scratch.age, rows);
  take(scratch.first, rows);
  take(scratch.second, rows);
  take(scratch.third, rows);
  take(scratch.ranking, rows);
  take(scratch.chosen, rows);
  take(scratch.keep, rows);
  take(scratch.n_moves, units);
  take(scratch.planes, plane_elements);
  take(scratch.constants, vector_constants);
  take(scratch.partials, partials);
  take(scratch.row_sums,
       units * row_splits(limits.n_rows) *
           std::max(row_sums(padded_pieces(static_cast<int32_t>(dim))), usual_sums(group)));
  take(scratch.centres, units * kMostDim);
  take(scratch.key_scales, units);
  take(scratch.upright, scratch.upright_elements);
  take(scratch.upright_items, limits.items);
  std::byte* sort_space = nullptr;
  take(sort_space, kSortBytes);
  scratch.sort_space = sort_space;
  scratch.sort_bytes = kSortBytes;
  // A unit's moves are at most half its rows, a pair each, and the ages are done with by then.
  scratch.moves = reinterpret_cast<int2*>(scratch.age);
  take(items, limits.items);
  take(cells, int64_t{limits.sequences} * limits.n_rows);
}

}  // namespace vase::cuda
