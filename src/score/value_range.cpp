#include "score/value_range.hpp"

#include <array>

#include "core/rows.hpp"
#include "score/row_blocks.hpp"
#include "score/spoilt_rows.hpp"

namespace vase {

size_t value_range_bytes(const vase_layer& layer) { return row_block_bytes(layer.values.dim); }

void value_range(const Head& head, const Kernels& kernels, Arena& arena, std::span<float> out) {
  const vase_rows& values = head.layer->values;
  for_row_blocks(head, values, kernels, arena, [&](int32_t first, DenseRows block) {
    std::array<bool, kRowBlock> spoilt{};
    replace_spoilt(block, kernels, 0.0f, [&](int32_t i) { spoilt[static_cast<size_t>(i)] = true; });
    if (values.rotation != 0)
      for (int32_t i = 0; i < block.count; ++i)
        rotate_row(block.row(i), values.dim, values.rotation);
    kernels.ranges(block, values.dim, out.data() + first);
    for (int32_t i = 0; i < block.count; ++i)
      if (spoilt[static_cast<size_t>(i)]) out[static_cast<size_t>(first + i)] = kSpoilt;
  });
}

}  // namespace vase
