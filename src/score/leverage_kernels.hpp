// The inner loops of what vase-plus ranks by, part of Kernels: what kernels.hpp says of the order
// of sums holds here as well.
#ifndef VASE_SCORE_LEVERAGE_KERNELS_HPP
#define VASE_SCORE_LEVERAGE_KERNELS_HPP

#include "score/matrices.hpp"

namespace vase {

/// Only what lies on or right of a diagonal counts. Whole groups of lanes are written nevertheless,
/// so that what lies left of it is anything after add_gram and factorise.
struct LeverageKernels {
  /// rows[i][d] -= centre[d]. centre: [rows.stride].
  void (*centre_rows)(DenseRows rows, const float* centre);
  /// sum[a][b] += (sum_i rows[i][a] * rows[i][b]) for b >= a. sum: [rows.stride][rows.stride].
  void (*add_gram)(DenseRows rows, LaneMatrix sum);
  /// to[a][b] += from[a][b] for b >= a, in double precision, and from becomes zeros.
  void (*move_sums)(LaneMatrix from, SquareMatrix to);
  /// m becomes U, U^T U = m (Cholesky).
  void (*factorise)(SquareMatrix m);
  /// inverse = u^-1 of an upper triangular u, zeros left of the diagonal.
  void (*invert_upper)(SquareMatrix u, SquareMatrix inverse);
  /// out[i] = sum_l (sum_(d <= l) rows[i][d] * by[d][l])^2: the squared length of row i times an
  /// upper triangular matrix [rows.stride][rows.stride] with zeros left of the diagonal.
  void (*triangular_energy)(DenseRows rows, LaneMatrix by, float* out);
  /// out[i] = min over the lanes l >= first + i of squares[l] - 2 products[i][l], the largest float
  /// if there are none: what is missing to the squared distance of row i to the nearest vector is
  /// the square of its own length.
  void (*nearest)(LaneMatrix products, const float* squares, int32_t first, float* out);
};

LeverageKernels reference_leverage_kernels();

}  // namespace vase

#endif
