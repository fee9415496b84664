// A head for the scores to look at, and its rows in double precision for their formulas.
#ifndef VASE_TESTS_SCORE_HEAD_OF_HPP
#define VASE_TESTS_SCORE_HEAD_OF_HPP

#include <gtest/gtest.h>

#include <numeric>
#include <span>
#include <vector>

#include "core/arena.hpp"
#include "core/head.hpp"
#include "core/rows.hpp"
#include "score/kernels.hpp"
#include "support/random_layer.hpp"

namespace vase::testing {

using Matrix = std::vector<std::vector<double>>;

/// One head of f32 keys; `rows` and `cells`, which becomes 0, 1, ..., must outlive it.
inline vase_layer layer_of(std::vector<float>& rows, int32_t dim, std::vector<int32_t>& cells) {
  vase_layer layer{};
  layer.keys = {rows.data(), VASE_F32, dim, 4 * dim, 4 * dim, 0};
  layer.n_heads = 1;
  layer.n_rows = static_cast<int32_t>(rows.size()) / dim;
  cells.resize(static_cast<size_t>(layer.n_rows));
  std::iota(cells.begin(), cells.end(), 0);
  layer.cells = cells.data();
  return layer;
}

/// All rows of one head of a layer as candidates, in row order.
class HeadOf {
 public:
  HeadOf(const vase_layer& layer, int32_t index)
      : layer_(layer), rows_(static_cast<size_t>(layer.n_rows)) {
    std::iota(rows_.begin(), rows_.end(), 0);
    cells_.assign(layer.cells, layer.cells + layer.n_rows);
    head_ = {&layer_, index, rows_, cells_, rows_};
  }
  const Head& head() const { return head_; }

  /// The true rows: as stored, turned back if they are rotated.
  Matrix matrix(const vase_rows& rows) const {
    Matrix m;
    std::vector<float> row(static_cast<size_t>(rows.dim));
    for (int32_t cell : cells_) {
      read_row(row_at(rows, cell, head_.index), rows.type, rows.dim, row.data());
      if (rows.rotation != 0) rotate_row(row.data(), rows.dim, rows.rotation);
      m.emplace_back(row.begin(), row.end());
    }
    return m;
  }

 private:
  vase_layer layer_;
  std::vector<int32_t> rows_, cells_;
  Head head_;
};

/// The last head of a random layer of the parameter's shape.
class HeadTest : public ::testing::TestWithParam<Shape> {
 protected:
  RandomLayer random_{GetParam(), 21};
  vase_layer layer_ = random_.view();
  HeadOf head_of_{layer_, layer_.n_heads - 1};
  const Head& head_ = head_of_.head();
  const Kernels& kernels_ = best_kernels();
};

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// What score(arena, out) writes for the candidates, with `bytes` of workspace.
template <typename Score>
std::vector<float> run(const Head& head, size_t bytes, Score score) {
  std::vector<std::byte> memory(bytes + Arena::kAlignment);
  Arena arena(memory.data(), memory.size());
  std::vector<float> out(static_cast<size_t>(head.size()));
  score(arena, std::span<float>(out));
  return out;
}

}  // namespace vase::testing

#endif
