#include "core/hole_filling.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

namespace vase {
namespace {

constexpr int32_t kDim = 8, kHeads = 3;

/// Rows whose content names the token and the head, in shuffled cells.
struct Cache {
  explicit Cache(int32_t n_rows, std::mt19937& random)
      : n(n_rows),
        keys(elements()),
        values(elements()),
        cells(static_cast<size_t>(n)),
        positions(static_cast<size_t>(n) * kHeads) {
    std::iota(cells.begin(), cells.end(), 0);
    std::shuffle(cells.begin(), cells.end(), random);
    for (int32_t h = 0; h < kHeads; ++h)
      for (int32_t i = 0; i < n; ++i) {
        const int32_t token = (i * 7 + h) % n;
        positions[static_cast<size_t>(h * n + i)] = token;
        for (int32_t d = 0; d < kDim; ++d) {
          at(keys, cells[static_cast<size_t>(i)], h)[d] = content(token, h, d);
          at(values, cells[static_cast<size_t>(i)], h)[d] = -content(token, h, d);
        }
      }
  }

  size_t elements() const { return static_cast<size_t>(n) * kHeads * kDim; }
  static float content(int32_t token, int32_t head, int32_t d) {
    return static_cast<float>(token * 100 + head * 10 + d);
  }
  float* at(std::vector<float>& rows, int32_t cell, int32_t head) const {
    return &rows[static_cast<size_t>((cell * kHeads + head) * kDim)];
  }
  vase_layer layer() {
    vase_layer layer{};
    layer.keys = {keys.data(), VASE_F32, kDim, kHeads * kDim * 4, kDim * 4, 0};
    layer.values = {values.data(), VASE_F32, kDim, kHeads * kDim * 4, kDim * 4, 0};
    layer.n_heads = kHeads;
    layer.n_rows = n;
    layer.cells = cells.data();
    return layer;
  }

  int32_t n;
  std::vector<float> keys, values;
  std::vector<int32_t> cells, positions;
};

TEST(HoleFilling, SurvivorsStayTogetherWithTheirTokens) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 200; ++trial) {
    const int32_t n = 2 + static_cast<int32_t>(random() % 60);
    const int32_t m = 1 + static_cast<int32_t>(random() % static_cast<uint32_t>(n - 1));
    const int32_t vacate_first = static_cast<int32_t>(random() % static_cast<uint32_t>(n - m + 1));
    Cache cache(n, random);
    const vase_layer layer = cache.layer();
    for (int32_t h = 0; h < kHeads; ++h) {
      std::vector<uint8_t> keep(static_cast<size_t>(n), 1);
      std::fill_n(keep.begin(), m, uint8_t{0});
      std::shuffle(keep.begin(), keep.end(), random);
      int32_t* positions = &cache.positions[static_cast<size_t>(h * n)];
      std::vector<int32_t> expected, found;
      for (int32_t i = 0; i < n; ++i)
        if (keep[static_cast<size_t>(i)] != 0) expected.push_back(positions[i]);

      const int32_t moved = fill_holes(layer, h, keep.data(), vacate_first, m, positions);

      EXPECT_LE(moved, m);
      for (int32_t i = 0; i < n; ++i) {
        if (i >= vacate_first && i < vacate_first + m) continue;
        found.push_back(positions[i]);
        for (int32_t d = 0; d < kDim; ++d) {
          ASSERT_EQ(cache.at(cache.keys, cache.cells[static_cast<size_t>(i)], h)[d],
                    Cache::content(positions[i], h, d));
          ASSERT_EQ(cache.at(cache.values, cache.cells[static_cast<size_t>(i)], h)[d],
                    -Cache::content(positions[i], h, d));
        }
      }
      std::sort(expected.begin(), expected.end());
      std::sort(found.begin(), found.end());
      ASSERT_EQ(found, expected);
    }
  }
}

}  // namespace
}  // namespace vase
