// Keys turned back to before their RoPE, in plain steps on the host.
#ifndef VASE_TESTS_CUDA_ROPE_HPP
#define VASE_TESTS_CUDA_ROPE_HPP

#include <cmath>
#include <numbers>
#include <vector>

#include "core/rope_rule.hpp"
#include "core/rows.hpp"
#include "vase/vase.h"

namespace vase::testing {

inline int32_t position_of(const vase_layer& layer, int32_t head, int32_t row) {
  return layer.positions != nullptr ? layer.positions[head * layer.n_rows + row] : row;
}

/// The layer's keys before RoPE and Walsh-Hadamard rotation, in the same cells, as f32: [cells]
/// [n_heads][dim].
class UprightKeysOf {
 public:
  explicit UprightKeysOf(const vase_layer& layer)
      : dim_(layer.keys.dim),
        n_heads_(layer.n_heads),
        rows_(static_cast<size_t>(layer.n_rows) * static_cast<size_t>(n_heads_ * dim_)) {
    for (int32_t row = 0; row < layer.n_rows; ++row) {
      const int32_t cell = layer.cells != nullptr ? layer.cells[row] : row;
      for (int32_t head = 0; head < n_heads_; ++head) {
        float* key = &rows_[static_cast<size_t>((cell * n_heads_ + head) * dim_)];
        read_row(row_at(layer.keys, cell, head), layer.keys.type, dim_, key);
        if (layer.keys.rotation != 0) rotate_row(key, dim_, layer.keys.rotation);
        turn_back(layer.rope, position_of(layer, head, row), key);
      }
    }
  }

  vase_rows view() {
    const int64_t row_bytes = int64_t{dim_} * 4;
    return {rows_.data(), VASE_F32, dim_, row_bytes * n_heads_, row_bytes, 0};
  }

 private:
  static void turn_back(const vase_rope& rope, int32_t position, float* key) {
    for (int32_t i = 0; i < rope.pairs; ++i) {
      const double turns =
          static_cast<double>(rope_turns(rope_step(rope.frequencies[i]), position));
      const double angle = 2 * std::numbers::pi * turns;
      float& first = key[rope.stride == 1 ? 2 * i : i];
      float& second = key[rope.stride == 1 ? 2 * i + 1 : i + rope.stride];
      const auto a = static_cast<double>(first), b = static_cast<double>(second);
      first = static_cast<float>(a * std::cos(angle) + b * std::sin(angle));
      second = static_cast<float>(b * std::cos(angle) - a * std::sin(angle));
    }
  }

  int32_t dim_, n_heads_;
  std::vector<float> rows_;
};

}  // namespace vase::testing

#endif
