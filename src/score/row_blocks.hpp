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

/// Calls use(first, block) for the candidates [first, first + block.count), block by block.
template <typename Use>
void for_row_blocks(const Head& head, const vase_rows& rows, const Kernels& kernels, Arena& arena,
                    const Use& use) {
  const int32_t stride = pad_to_lanes(rows.dim);
  float* data =
      arena.take<float>(static_cast<size_t>(kRowBlock) * static_cast<size_t>(stride)).data();
  for (int32_t first = 0; first < head.size(); first += kRowBlock) {
    const DenseRows block{data, std::min(kRowBlock, head.size() - first), stride};
    kernels.read_rows(rows, head.index, head.cells.data() + first, block);
    use(first, block);
  }
}

}  // namespace vase

#endif
