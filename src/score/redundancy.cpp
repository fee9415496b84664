#include "score/redundancy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "score/spoilt_rows.hpp"
#include "score/unit_keys.hpp"

namespace vase {
namespace {

/// Over what is not NaN; that stays.
void softmax(std::span<float> x) {
  float maximum = -std::numeric_limits<float>::infinity();
  for (const float v : x) maximum = v > maximum ? v : maximum;
  double sum = 0;
  for (float& v : x) {
    v = std::exp(v - maximum);
    if (!std::isnan(v)) sum += static_cast<double>(v);
  }
  for (float& v : x) v = static_cast<float>(static_cast<double>(v) / sum);
}

}  // namespace

size_t redundancy_bytes(const vase_layer& layer, int32_t n) {
  return 2 * Arena::bytes_of<float>(static_cast<size_t>(n)) +
         Arena::bytes_of<float>(static_cast<size_t>(pad_to_lanes(layer.keys.dim)));
}

void redundancy(DenseRows keys, const Kernels& kernels, Arena& arena, std::span<float> out) {
  if (keys.count == 0) return;
  const auto n = static_cast<size_t>(keys.count);
  const std::span<float> squares = arena.take<float>(n), inverse_norms = arena.take<float>(n);
  const std::span<float> unit_sum = arena.take<float>(static_cast<size_t>(keys.stride));

  kernels.dots(keys, keys.data, keys.stride, squares.data());
  std::transform(squares.begin(), squares.end(), inverse_norms.begin(), inverse_norm);
  replace_spoilt(keys, kernels, 0.0f, [&](int32_t i) {
    const auto row = static_cast<size_t>(i);
    squares[row] = kSpoilt;
    inverse_norms[row] = 0.0f;
  });
  std::fill(unit_sum.begin(), unit_sum.end(), 0.0f);
  kernels.add_scaled_rows(keys, inverse_norms.data(), unit_sum.data());
  kernels.dots(keys, unit_sum.data(), 0, out.data());
  for (size_t i = 0; i < n; ++i) {
    const float with_all = out[i] * inverse_norms[i];
    const float with_itself = squares[i] * inverse_norms[i] * inverse_norms[i];
    out[i] = (with_all - with_itself) / static_cast<float>(n);
  }
  softmax(out);
}

}  // namespace vase
