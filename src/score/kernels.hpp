// The inner loops of all scores, in two implementations with the same results bit for bit: a scalar
// reference that reads like the formulas and a SIMD one (Highway, chosen at run time).
//
// Float addition is not associative, so both add in the same order. Where the terms of a sum lie
// along memory they are dealt to kLanes partial sums (term i to sum i % kLanes), which are then
// folded in halves: that is what a vector of kLanes floats does, and narrower vectors do it in
// parts. Elsewhere a sum runs over its terms one by one. Products are fused with their sums (FMA)
// everywhere.
#ifndef VASE_SCORE_KERNELS_HPP
#define VASE_SCORE_KERNELS_HPP

#include "score/matrices.hpp"
#include "vase/vase.h"

namespace vase {

/// How keys were turned (vase_rope), with the steps of core/rope_rule.hpp in place of frequencies.
struct RopeSteps {
  const uint32_t* steps;  ///< [pairs]
  int32_t pairs;
  int32_t stride;
};

struct Kernels {
  const char* name;

  /// Reads the rows of `cells` (one for each row of `out`) of one KV head.
  void (*read_rows)(const vase_rows& rows, int32_t head, const int32_t* cells, DenseRows out);
  /// Turns each row back, row i by what token positions[i] was turned: pair (a, b) of angle t
  /// becomes (a cos t + b sin t, b cos t - a sin t).
  void (*turn_back)(DenseRows rows, const RopeSteps& rope, const int32_t* positions);
  /// out[i][p] = |(a, b)| of pair p < pairs of row i: elements (2 p, 2 p + 1) if stride is 1, else
  /// (p, p + stride).
  void (*pair_lengths)(DenseRows rows, int32_t pairs, int32_t stride, DenseRows out);
  /// out[i] = max_d rows[i][d] - min_d rows[i][d] over the first `dim` elements, which are finite.
  void (*ranges)(DenseRows rows, int32_t dim, float* out);
  /// out[i][l] = sum_d rows[i][d] * by[d][l]; out has rows.count rows and by.lanes lanes. maxima[l]
  /// becomes the maximum of itself and column l of out, but for what is NaN there.
  void (*multiply)(DenseRows rows, LaneMatrix by, LaneMatrix out, float* maxima);
  /// m[i][l] = 2^(m[i][l] - maxima[l]), next to nothing where that is NaN, and sums[l] = the sum of
  /// column l.
  void (*exp2_columns)(LaneMatrix m, const float* maxima, float* sums);
  /// out[i] += sum_l m[i][l] * factors[l].
  void (*add_weighted_lanes)(LaneMatrix m, const float* factors, float* out);
  /// out[i] = sum_l (sum_d rows[i][d] * by[d][l])^2: the squared length of row i projected by `by`.
  void (*projected_energy)(DenseRows rows, LaneMatrix by, float* out);
  /// out[i] = sum_d rows[i][d] * vectors[i * vector_stride + d]. Stride 0: one vector for all rows.
  void (*dots)(DenseRows rows, const float* vectors, int32_t vector_stride, float* out);
  /// sum[d] += sum_i factors[i] * rows[i][d].
  void (*add_scaled_rows)(DenseRows rows, const float* factors, float* sum);
  /// rows[i][d] -= centre[d]. centre: [rows.stride].
  void (*centre_rows)(DenseRows rows, const float* centre);
  /// out[i] = sum over the lanes l >= first + i of d^-6, d^2 = squares[i] + lane_squares[l] -
  /// 2 products[i][l] but at least `least`: how many vectors are near row i, and how near.
  void (*crowds)(LaneMatrix products, const float* squares, const float* lane_squares,
                 int32_t first, float least, float* out);
};

const Kernels& reference_kernels();

/// The fastest kernels this machine can run; the reference where there is no fused multiply-add in
/// hardware.
const Kernels& best_kernels();

}  // namespace vase

#endif
