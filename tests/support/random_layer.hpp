// Layers of random rows for tests: any type, any shape, cells and token positions as scrambled as
// an eviction leaves them.
#ifndef VASE_TESTS_SUPPORT_RANDOM_LAYER_HPP
#define VASE_TESTS_SUPPORT_RANDOM_LAYER_HPP

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "vase/vase.h"

namespace vase::testing {

struct Shape {
  int32_t n_heads = 2;
  int32_t group = 3;
  int32_t dim = 64;
  int32_t n_rows = 320;
  vase_type type = VASE_F32;
  int32_t n_queries = 64;
  int32_t values_dim = 0;  ///< 0: dim
  int32_t rope_pairs = 0;  ///< 0: how keys are rotated is not said
  int32_t rope_stride = 1;
};

/// Half of the nearest value, good for numbers of ordinary size.
inline uint16_t to_f16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude < 0x38800000u) return static_cast<uint16_t>(sign);
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0x1000u) >> 13));
}

class RandomLayer {
 public:
  RandomLayer(const Shape& shape, uint64_t seed) : shape_(shape), random_(seed) {
    if (shape_.values_dim == 0) shape_.values_dim = shape_.dim;
    fill_cells();
    keys_ = random_rows(shape_.dim, 1.0f);
    values_ = random_rows(shape_.values_dim, 2.0f);
    queries_.resize(static_cast<size_t>(shape_.n_heads) * static_cast<size_t>(shape_.group) *
                    static_cast<size_t>(shape_.n_queries) * static_cast<size_t>(shape_.dim));
    for (float& q : queries_) q = normal();
    for (int32_t i = 0; i < shape_.n_heads * shape_.group; ++i)
      for (const float least : {-1.0f, -1.0f, 1.5f})  // real, imaginary; lengths are no less
        for (int32_t p = 0; p < shape_.dim / 2; ++p) calibration_.push_back(least + uniform());
    for (int32_t p = 0; p < shape_.rope_pairs; ++p)
      frequencies_.push_back(
          std::pow(1e4f, -static_cast<float>(p) / static_cast<float>(shape_.rope_pairs)));
  }

  /// Shows the data; valid as long as this object and not copied with it.
  vase_layer view() {
    vase_layer layer{};
    layer.keys = rows_view(keys_, shape_.dim);
    layer.values = rows_view(values_, shape_.values_dim);
    if (shape_.rope_pairs > 0)
      layer.rope = {frequencies_.data(), shape_.rope_pairs, shape_.rope_stride};
    layer.n_heads = shape_.n_heads;
    layer.n_rows = shape_.n_rows;
    layer.cells = cells_.data();
    layer.positions = positions_.data();
    layer.queries = queries_.data();
    layer.n_query_heads = shape_.n_heads * shape_.group;
    layer.n_queries = shape_.n_queries;
    layer.calibration = calibration_.data();
    layer.eviction = 3;
    layer.layer = 7;
    return layer;
  }

  const Shape& shape() const { return shape_; }
  std::vector<int32_t>& positions() { return positions_; }
  int32_t position(int32_t head, int32_t row) const {
    return positions_[static_cast<size_t>(head) * static_cast<size_t>(shape_.n_rows) +
                      static_cast<size_t>(row)];
  }

 private:
  float normal() { return std::normal_distribution<float>()(random_); }

  float uniform() { return std::uniform_real_distribution<float>(0.0f, 2.0f)(random_); }

  void fill_cells() {
    const auto n = static_cast<size_t>(shape_.n_rows);
    cells_.resize(n);
    std::iota(cells_.begin(), cells_.end(), 0);
    std::shuffle(cells_.begin(), cells_.end(), random_);
    // Sparse, ascending token positions that start at the sinks, in another order for each head.
    std::vector<int32_t> tokens(n);
    int32_t next = 0;
    for (size_t i = 0; i < n; ++i) {
      tokens[i] = next;
      next += i < 8 || i + 80 > n ? 1 : 1 + static_cast<int32_t>(random_() % 5);
    }
    for (int32_t h = 0; h < shape_.n_heads; ++h) {
      std::shuffle(tokens.begin(), tokens.end(), random_);
      positions_.insert(positions_.end(), tokens.begin(), tokens.end());
    }
  }

  std::vector<std::byte> random_rows(int32_t dim, float spread) {
    std::vector<std::byte> data;
    std::vector<float> row(static_cast<size_t>(dim));
    for (int32_t i = 0; i < shape_.n_rows * shape_.n_heads; ++i) {
      const float magnitude =
          std::exp(spread * 0.5f * normal());  // widely spread, so that rankings are clear
      for (float& x : row) x = magnitude * normal();
      append(row, data);
    }
    return data;
  }

  void append(const std::vector<float>& row, std::vector<std::byte>& data) const {
    switch (shape_.type) {
      case VASE_F32:
        for (float x : row) append_bits(std::bit_cast<uint32_t>(x), data);
        break;
      case VASE_F16:
        for (float x : row) append_bits(to_f16(x), data);
        break;
      case VASE_BF16:
        for (float x : row)
          append_bits(static_cast<uint16_t>(std::bit_cast<uint32_t>(x) >> 16), data);
        break;
      case VASE_Q8_0:
        for (size_t first = 0; first < row.size(); first += 32) append_q8_0(&row[first], data);
        break;
      case VASE_Q4_0:
        for (size_t first = 0; first < row.size(); first += 32) append_q4_0(&row[first], data);
        break;
    }
  }

  /// Of a block's 32 elements, the one farthest from 0.
  static float farthest(const float* block) {
    return *std::max_element(block, block + 32,
                             [](float a, float b) { return std::abs(a) < std::abs(b); });
  }
  static void append_q8_0(const float* block, std::vector<std::byte>& data) {
    const float scale = std::abs(farthest(block)) / 127;
    append_bits(to_f16(scale), data);
    for (int i = 0; i < 32; ++i)
      append_bits(static_cast<uint8_t>(static_cast<int8_t>(std::lround(block[i] / scale))), data);
  }
  /// The farthest element becomes -8 scale, so that scales of both signs occur, as in ggml.
  static void append_q4_0(const float* block, std::vector<std::byte>& data) {
    const float scale = farthest(block) / -8;
    append_bits(to_f16(scale), data);
    const auto nibble = [&](int i) { return std::min(15L, std::lround(block[i] / scale) + 8); };
    for (int i = 0; i < 16; ++i)
      append_bits(static_cast<uint8_t>(nibble(i) | nibble(i + 16) << 4), data);
  }
  template <typename Bits>
  static void append_bits(Bits bits, std::vector<std::byte>& data) {
    const size_t at = data.size();
    data.resize(at + sizeof bits);
    std::memcpy(&data[at], &bits, sizeof bits);
  }

  vase_rows rows_view(std::vector<std::byte>& data, int32_t dim) const {
    const auto row = static_cast<int64_t>(data.size()) / (int64_t{shape_.n_rows} * shape_.n_heads);
    return {data.data(), shape_.type, dim, row * shape_.n_heads, row, 0};
  }

  Shape shape_;
  std::mt19937_64 random_;
  std::vector<int32_t> cells_, positions_;
  std::vector<std::byte> keys_, values_;
  std::vector<float> queries_, frequencies_, calibration_;
};

}  // namespace vase::testing

#endif
