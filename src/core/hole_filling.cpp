#include "core/hole_filling.hpp"

#include <cstring>

#include "core/rows.hpp"

namespace vase {
namespace {

void copy_row(const vase_rows& rows, int32_t from_cell, int32_t to_cell, int32_t head) {
  std::memcpy(row_at(rows, to_cell, head), row_at(rows, from_cell, head),
              row_bytes(rows.type, rows.dim));
}

}  // namespace

int32_t fill_holes(const vase_layer& layer, int32_t head, const uint8_t* keep, int32_t vacate_first,
                   int32_t count, int32_t* positions) {
  const auto cell = [&](int32_t row) { return layer.cells != nullptr ? layer.cells[row] : row; };
  float* sums =
      layer.sums != nullptr ? layer.sums + static_cast<ptrdiff_t>(head) * layer.n_rows : nullptr;
  const int32_t vacate_end = vacate_first + count;
  int32_t hole = 0, moved = 0;
  for (int32_t row = vacate_first; row < vacate_end; ++row) {
    if (keep[row] == 0) continue;
    // As many rows are given up outside the block as are kept inside it, so there always is a hole.
    while (keep[hole] != 0 || (hole >= vacate_first && hole < vacate_end)) ++hole;
    copy_row(layer.keys, cell(row), cell(hole), head);
    copy_row(layer.values, cell(row), cell(hole), head);
    if (positions != nullptr) positions[hole] = positions[row];
    if (sums != nullptr) sums[hole] = sums[row];
    ++hole;
    ++moved;
  }
  return moved;
}

}  // namespace vase
