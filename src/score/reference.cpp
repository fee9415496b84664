// The kernels as formulas. Slow, simple, and what simd.cpp is tested against.
#include <algorithm>
#include <cmath>

#include "core/rope_rule.hpp"
#include "core/rows.hpp"
#include "score/exp2.hpp"
#include "score/fold.hpp"
#include "score/kernels.hpp"
#include "score/reciprocal.hpp"
#include "score/sine.hpp"

namespace vase {
namespace {

/// sum_i a[i] * b[i], n a multiple of kLanes.
float dot(const float* a, const float* b, int32_t n) {
  PartialSums sums{};
  for (int32_t i = 0; i < n; ++i) {
    float& sum = sums[static_cast<size_t>(i % kLanes)];
    sum = std::fma(a[i], b[i], sum);
  }
  return fold(sums);
}

/// sum_d row[d] * by[d][lane].
float project(const float* row, LaneMatrix by, int32_t lane) {
  float sum = 0;
  for (int32_t d = 0; d < by.depth; ++d) sum = std::fma(row[d], by.row(d)[lane], sum);
  return sum;
}

void read_rows(const vase_rows& rows, int32_t head, const int32_t* cells, DenseRows out) {
  for (int32_t i = 0; i < out.count; ++i) {
    read_row(row_at(rows, cells[i], head), rows.type, rows.dim, out.row(i));
    std::fill(out.row(i) + rows.dim, out.row(i) + out.stride, 0.0f);
  }
}

void turn_back(DenseRows rows, const RopeSteps& rope, const int32_t* positions) {
  for (int32_t i = 0; i < rows.count; ++i)
    for (int32_t p = 0; p < rope.pairs; ++p) {
      float* first = rows.row(i) + (rope.stride == 1 ? 2 * p : p);
      const auto [sine, cosine] = sine_cosine(rope_turns(rope.steps[p], positions[i]));
      const float a = first[0], b = first[rope.stride];
      first[0] = std::fma(a, cosine, b * sine);
      first[rope.stride] = std::fma(b, cosine, -(a * sine));
    }
}

void pair_lengths(DenseRows rows, int32_t pairs, int32_t stride, DenseRows out) {
  for (int32_t i = 0; i < rows.count; ++i)
    for (int32_t p = 0; p < pairs; ++p) {
      const float* first = rows.row(i) + (stride == 1 ? 2 * p : p);
      const float a = first[0], b = first[stride];
      out.row(i)[p] = std::sqrt(std::fma(a, a, b * b));
    }
}

void ranges(DenseRows rows, int32_t dim, float* out) {
  for (int32_t i = 0; i < rows.count; ++i) {
    const auto [low, high] = std::minmax_element(rows.row(i), rows.row(i) + dim);
    out[i] = *high - *low;
  }
}

void multiply(DenseRows rows, LaneMatrix by, LaneMatrix out, float* maxima) {
  for (int32_t i = 0; i < rows.count; ++i)
    for (int32_t l = 0; l < by.lanes; ++l) {
      out.row(i)[l] = project(rows.row(i), by, l);
      maxima[l] = std::max(maxima[l], out.row(i)[l]);
    }
}

void exp2_columns(LaneMatrix m, const float* maxima, float* sums) {
  std::fill(sums, sums + m.lanes, 0.0f);
  for (int32_t i = 0; i < m.depth; ++i)
    for (int32_t l = 0; l < m.lanes; ++l) {
      m.row(i)[l] = exp2_nonpositive(m.row(i)[l] - maxima[l]);
      sums[l] += m.row(i)[l];
    }
}

void add_weighted_lanes(LaneMatrix m, const float* factors, float* out) {
  for (int32_t i = 0; i < m.depth; ++i) out[i] += dot(m.row(i), factors, m.lanes);
}

void projected_energy(DenseRows rows, LaneMatrix by, float* out) {
  for (int32_t i = 0; i < rows.count; ++i) {
    PartialSums sums{};
    for (int32_t l = 0; l < by.lanes; ++l) {
      const float p = project(rows.row(i), by, l);
      float& sum = sums[static_cast<size_t>(l % kLanes)];
      sum = std::fma(p, p, sum);
    }
    out[i] = fold(sums);
  }
}

void dots(DenseRows rows, const float* vectors, int32_t vector_stride, float* out) {
  for (int32_t i = 0; i < rows.count; ++i)
    out[i] = dot(rows.row(i), vectors + static_cast<ptrdiff_t>(i) * vector_stride, rows.stride);
}

void add_scaled_rows(DenseRows rows, const float* factors, float* sum) {
  for (int32_t i = 0; i < rows.count; ++i)
    for (int32_t d = 0; d < rows.stride; ++d) sum[d] = std::fma(factors[i], rows.row(i)[d], sum[d]);
}

void centre_rows(DenseRows rows, const float* centre) {
  for (int32_t i = 0; i < rows.count; ++i)
    for (int32_t d = 0; d < rows.stride; ++d) rows.row(i)[d] -= centre[d];
}

void crowds(LaneMatrix products, const float* squares, const float* lane_squares, int32_t first,
            float least, float* out) {
  for (int32_t i = 0; i < products.depth; ++i) {
    PartialSums sums{};
    for (int32_t l = std::max(0, first + i); l < products.lanes; ++l) {
      const float apart = std::fma(-2.0f, products.row(i)[l], squares[i] + lane_squares[l]);
      const float near = reciprocal(apart < least ? least : apart);
      sums[static_cast<size_t>(l % kLanes)] += near * near * near;
    }
    out[i] = fold(sums);
  }
}

}  // namespace

const Kernels& reference_kernels() {
  static const Kernels kernels{
      "reference",      read_rows, turn_back,       pair_lengths,
      ranges,           multiply,  exp2_columns,    add_weighted_lanes,
      projected_energy, dots,      add_scaled_rows, centre_rows,
      crowds,
  };
  return kernels;
}

}  // namespace vase
