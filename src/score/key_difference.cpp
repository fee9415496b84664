#include "score/key_difference.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "score/row_blocks.hpp"
#include "score/spoilt_rows.hpp"
#include "score/unit_keys.hpp"

namespace vase {
namespace {

/// Calls use(first, block) for the keys of `cells`, block by block.
template <typename Use>
void for_keys(const Head& head, std::span<const int32_t> cells, const Kernels& kernels, Arena arena,
              const Use& use) {
  const vase_rows& keys = head.layer->keys;
  const auto read = [&](int32_t first, DenseRows block) {
    kernels.read_rows(keys, head.index, cells.data() + first, block);
  };
  for_blocks(static_cast<int32_t>(cells.size()), keys.dim, arena, read, use);
}

/// norms[i] = 1 / |row i| of a block; of spoilt rows, which become 0, what spoilt ones score.
void inverse_norms(DenseRows block, const Kernels& kernels, std::span<float> norms) {
  kernels.dots(block, block.data, block.stride, norms.data());
  std::transform(norms.begin(), norms.begin() + block.count, norms.begin(), inverse_norm);
  replace_spoilt(block, kernels, 0.0f, [&](int32_t i) { norms[static_cast<size_t>(i)] = kSpoilt; });
}

/// anchor = the unit vector along the mean of the unit keys.
void find_anchor(const Head& head, const Kernels& kernels, Arena arena, std::span<float> anchor) {
  std::fill(anchor.begin(), anchor.end(), 0.0f);
  std::array<float, kRowBlock> norms;
  for (const std::span<const int32_t> cells : {head.cells, head.recent_cells})
    for_keys(head, cells, kernels, arena, [&](int32_t, DenseRows block) {
      inverse_norms(block, kernels, norms);
      std::replace_if(
          norms.begin(), norms.begin() + block.count, [](float x) { return std::isnan(x); }, 0.0f);
      kernels.add_scaled_rows(block, norms.data(), anchor.data());
    });
  float square = 0;
  kernels.dots({anchor.data(), 1, static_cast<int32_t>(anchor.size())}, anchor.data(), 0, &square);
  const float norm = inverse_norm(square);
  for (float& element : anchor) element *= norm;
}

}  // namespace

size_t key_difference_bytes(const vase_layer& layer) {
  return Arena::bytes_of<float>(static_cast<size_t>(pad_to_lanes(layer.keys.dim))) +
         row_block_bytes(layer.keys.dim);
}

void key_difference(const Head& head, const Kernels& kernels, Arena arena, std::span<float> out) {
  const std::span<float> anchor =
      arena.take<float>(static_cast<size_t>(pad_to_lanes(head.layer->keys.dim)));
  find_anchor(head, kernels, arena, anchor);
  std::array<float, kRowBlock> norms;
  for_keys(head, head.cells, kernels, arena, [&](int32_t first, DenseRows block) {
    inverse_norms(block, kernels, norms);
    float* cosines = out.data() + first;
    kernels.dots(block, anchor.data(), 0, cosines);
    for (int32_t i = 0; i < block.count; ++i) cosines[i] *= -norms[static_cast<size_t>(i)];
  });
}

}  // namespace vase
