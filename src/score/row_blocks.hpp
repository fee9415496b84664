// Reads a head's rows a block at a time, for scores that look at each row once.
#ifndef VASE_SCORE_ROW_BLOCKS_HPP
#define VASE_SCORE_ROW_BLOCKS_HPP

#include <algorithm>

#include "core/arena.hpp"
#include "core/head.hpp"
#include "score/kernels.hpp"

namespace vase {

/// Rows of a block: a multiple of the kernels' tile, small enough for the first-level cache.
inline constexpr int32_t kRowBlock = 48;

inline size_t row_block_bytes(int32_t dim) {
  return Arena::bytes_of<float>(static_cast<size_t>(kRowBlock) *
                                static_cast<size_t>(pad_to_lanes(dim)));
}

/// Calls read(first, block) and use(first, block) for rows [first, first + block.count) of `count`,
/// block by block.
template <typename Read, typename Use>
void for_blocks(int32_t count, int32_t dim, Arena& arena, const Read& read, const Use& use) {
  const int32_t stride = pad_to_lanes(dim);
  float* data =
      arena.take<float>(static_cast<size_t>(kRowBlock) * static_cast<size_t>(stride)).data();
  for (int32_t first = 0; first < count; first += kRowBlock) {
    const DenseRows block{data, std::min(kRowBlock, count - first), stride};
    read(first, block);
    use(first, block);
  }
}

/// Reads the candidates and calls use(first, block) for each block of them.
template <typename Use>
void for_row_blocks(const Head& head, const vase_rows& rows, const Kernels& kernels, Arena& arena,
                    const Use& use) {
  const auto read = [&](int32_t first, DenseRows block) {
    kernels.read_rows(rows, head.index, head.cells.data() + first, block);
  };
  for_blocks(head.size(), rows.dim, arena, read, use);
}

}  // namespace vase

#endif
