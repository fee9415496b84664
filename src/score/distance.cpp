#include "score/distance.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "score/spoilt_rows.hpp"

namespace vase {
namespace {

/// mean[stride] of the candidates' rows but the spoilt ones: f32 within a block, f64 from then on.
void mean_of(const RowSource& source, Arena arena, std::span<float> mean) {
  const std::span<double> sum = arena.take<double>(mean.size());
  const std::span<float> block_sum = arena.take<float>(mean.size());
  std::fill(sum.begin(), sum.end(), 0.0);
  std::array<float, kRowBlock> ones;
  ones.fill(1.0f);
  int32_t count = source.head.size();
  source.for_blocks(arena, [&](int32_t, DenseRows block) {
    replace_spoilt(block, source.kernels, 0.0f, [&](int32_t) { --count; });
    std::fill(block_sum.begin(), block_sum.end(), 0.0f);
    source.kernels.add_scaled_rows(block, ones.data(), block_sum.data());
    for (size_t d = 0; d < sum.size(); ++d) sum[d] += static_cast<double>(block_sum[d]);
  });
  for (size_t d = 0; d < mean.size(); ++d)
    mean[d] = static_cast<float>(sum[d] / std::max(count, 1));
}

}  // namespace

size_t distance_from_mean_bytes(const vase_rows& rows) {
  const auto stride = static_cast<size_t>(pad_to_lanes(rows.dim));
  return 2 * Arena::bytes_of<float>(stride) + Arena::bytes_of<double>(stride) +
         row_block_bytes(rows.dim);
}

void distance_from_mean(const RowSource& source, Arena arena, std::span<float> out) {
  if (out.empty()) return;
  const Kernels& kernels = source.kernels;
  const std::span<float> mean =
      arena.take<float>(static_cast<size_t>(pad_to_lanes(source.rows.dim)));
  mean_of(source, arena, mean);
  source.for_blocks(arena, [&](int32_t first, DenseRows block) {
    float* squares = out.data() + first;
    kernels.centre_rows(block, mean.data());
    kernels.dots(block, block.data, block.stride, squares);
    std::transform(squares, squares + block.count, squares,
                   [](float x) { return std::isfinite(x) ? std::sqrt(x) : kSpoilt; });
  });
}

}  // namespace vase
