// Rows that hold a NaN or an infinity. They are given up first, and move no other row's score.
#ifndef VASE_SCORE_SPOILT_ROWS_HPP
#define VASE_SCORE_SPOILT_ROWS_HPP

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "score/kernels.hpp"
#include "score/row_blocks.hpp"

namespace vase {

/// The score of a spoilt row; a choice puts what is not finite last.
inline constexpr float kSpoilt = std::numeric_limits<float>::quiet_NaN();

/// Fills rows that are spoilt with `by` and calls use(i) for each.
template <typename Use>
void replace_spoilt(DenseRows rows, const Kernels& kernels, float by, const Use& use) {
  std::array<float, kRowBlock> squares;
  for (int32_t first = 0; first < rows.count; first += kRowBlock) {
    const DenseRows block{rows.row(first), std::min(kRowBlock, rows.count - first), rows.stride};
    // A squared length that is finite says that all of a row is; one that is not may be too long.
    kernels.dots(block, block.data, block.stride, squares.data());
    for (int32_t i = 0; i < block.count; ++i) {
      if (std::isfinite(squares[static_cast<size_t>(i)])) continue;
      const std::span<float> row(block.row(i), static_cast<size_t>(block.stride));
      if (std::ranges::all_of(row, [](float x) { return std::isfinite(x); })) continue;
      std::ranges::fill(row, by);
      use(first + i);
    }
  }
}

}  // namespace vase

#endif
