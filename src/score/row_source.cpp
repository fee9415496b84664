#include "score/row_source.hpp"

#include <algorithm>

#include "core/rope_rule.hpp"
#include "core/rows.hpp"

namespace vase {

void RowSource::read(const int32_t* cells, const int32_t* positions, DenseRows out) const {
  kernels.read_rows(rows, head.index, cells, out);
  if (rope.pairs == 0) return;
  if (rows.rotation != 0)
    for (int32_t i = 0; i < out.count; ++i) rotate_row(out.row(i), rows.dim, rows.rotation);
  kernels.turn_back(out, rope, positions);
}

RowSource upright_keys(const Head& head, const Kernels& kernels, Arena& arena) {
  const vase_rope& rope = head.layer->rope;
  if (rope.frequencies == nullptr) return {head, head.layer->keys, kernels};
  const std::span<uint32_t> steps = arena.take<uint32_t>(static_cast<size_t>(rope.pairs));
  std::transform(rope.frequencies, rope.frequencies + rope.pairs, steps.begin(), rope_step);
  return {head, head.layer->keys, kernels, {steps.data(), rope.pairs, rope.stride}};
}

size_t upright_bytes(const vase_rope& rope) {
  return rope.frequencies == nullptr ? 0
                                     : Arena::bytes_of<uint32_t>(static_cast<size_t>(rope.pairs));
}

}  // namespace vase
