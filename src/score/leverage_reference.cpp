// The kernels of the leverage as formulas.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "score/fold.hpp"
#include "score/leverage_kernels.hpp"

namespace vase {
namespace {

void centre_rows(DenseRows rows, const float* centre) {
  for (int32_t i = 0; i < rows.count; ++i)
    for (int32_t d = 0; d < rows.stride; ++d) rows.row(i)[d] -= centre[d];
}

void add_gram(DenseRows rows, LaneMatrix sum) {
  for (int32_t a = 0; a < sum.depth; ++a)
    for (int32_t b = a; b < sum.lanes; ++b) {
      float products = 0;
      for (int32_t i = 0; i < rows.count; ++i)
        products = std::fma(rows.row(i)[a], rows.row(i)[b], products);
      sum.row(a)[b] += products;
    }
}

void move_sums(LaneMatrix from, SquareMatrix to) {
  for (int32_t a = 0; a < to.dim; ++a) {
    for (int32_t b = a; b < to.dim; ++b) to.row(a)[b] += static_cast<double>(from.row(a)[b]);
    std::fill(from.row(a), from.row(a) + from.lanes, 0.0f);
  }
}

/// U[k][j] = (m[k][j] - sum_(i < k) U[i][k] U[i][j]) / U[k][k].
void factorise(SquareMatrix m) {
  for (int32_t k = 0; k < m.dim; ++k) {
    double* row = m.row(k);
    for (int32_t j = k; j < m.dim; ++j)
      for (int32_t i = 0; i < k; ++i) row[j] = std::fma(-m.row(i)[k], m.row(i)[j], row[j]);
    const double root = std::sqrt(row[k]), scale = 1.0 / root;
    for (int32_t j = k; j < m.dim; ++j) row[j] *= scale;
    row[k] = root;
  }
}

/// V[i][j] = -(sum_(i < k <= j) U[i][k] V[k][j]) / U[i][i]: the last row first, and the last k.
void invert_upper(SquareMatrix u, SquareMatrix inverse) {
  for (int32_t i = u.dim - 1; i >= 0; --i) {
    double* row = inverse.row(i);
    const double scale = 1.0 / u.row(i)[i];
    std::fill(row, row + i, 0.0);
    row[i] = scale;
    for (int32_t j = i + 1; j < u.dim; ++j) {
      double sum = 0;
      for (int32_t k = j; k > i; --k) sum = std::fma(u.row(i)[k], inverse.row(k)[j], sum);
      row[j] = -scale * sum;
    }
  }
}

void triangular_energy(DenseRows rows, LaneMatrix by, float* out) {
  for (int32_t i = 0; i < rows.count; ++i) {
    PartialSums sums{};
    for (int32_t l = 0; l < by.lanes; ++l) {
      float p = 0;
      for (int32_t d = 0; d <= l; ++d) p = std::fma(rows.row(i)[d], by.row(d)[l], p);
      float& sum = sums[static_cast<size_t>(l % kLanes)];
      sum = std::fma(p, p, sum);
    }
    out[i] = fold(sums);
  }
}

void nearest(LaneMatrix products, const float* squares, int32_t first, float* out) {
  for (int32_t i = 0; i < products.depth; ++i) {
    out[i] = std::numeric_limits<float>::max();
    for (int32_t l = std::max(0, first + i); l < products.lanes; ++l)
      out[i] = std::min(out[i], std::fma(-2.0f, products.row(i)[l], squares[l]));
  }
}

}  // namespace

LeverageKernels reference_leverage_kernels() {
  return {centre_rows, add_gram, move_sums, factorise, invert_upper, triangular_energy, nearest};
}

}  // namespace vase
