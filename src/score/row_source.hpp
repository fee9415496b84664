// The rows as scores by novelty want them: values as they are stored, keys as they were before
// RoPE.
#ifndef VASE_SCORE_ROW_SOURCE_HPP
#define VASE_SCORE_ROW_SOURCE_HPP

#include "core/arena.hpp"
#include "core/head.hpp"
#include "score/kernels.hpp"
#include "score/row_blocks.hpp"

namespace vase {

/// Rows of the candidates of a head. All that it points to must outlive it.
struct RowSource {
  const Head& head;
  const vase_rows& rows;
  const Kernels& kernels;
  RopeSteps rope = {};  ///< to turn back by; no pairs: rows come as they are stored

  /// Reads candidates, given by their cells and token positions; out has as many rows.
  void read(const int32_t* cells, const int32_t* positions, DenseRows out) const;

  /// As for_row_blocks.
  template <typename Use>
  void for_blocks(Arena& arena, const Use& use) const {
    const auto read_block = [this](int32_t first, DenseRows block) {
      read(head.cells.data() + first, head.positions.data() + first, block);
    };
    vase::for_blocks(head.size(), rows.dim, arena, read_block, use);
  }
};

/// Keys as they were before RoPE, if layer.rope says how they were turned. Takes of the arena what
/// upright_bytes says.
RowSource upright_keys(const Head& head, const Kernels& kernels, Arena& arena);
size_t upright_bytes(const vase_rope& rope);

}  // namespace vase

#endif
