#include "score/leverage.hpp"

#include <algorithm>
#include <cmath>

#include "core/leverage_rule.hpp"
#include "score/row_blocks.hpp"

namespace vase {
namespace {

/// A square matrix in f64, for what is done once a head.
struct Square {
  double* data;
  int32_t dim;

  double* row(int32_t i) const { return data + static_cast<ptrdiff_t>(i) * dim; }
};

size_t square_elements(const vase_rows& rows) {
  return static_cast<size_t>(rows.dim) * static_cast<size_t>(rows.dim);
}

/// A matrix of as many lanes as a dense row has elements.
size_t lane_elements(const vase_rows& rows) {
  return static_cast<size_t>(rows.dim) * static_cast<size_t>(pad_to_lanes(rows.dim));
}

/// mean[stride] of the candidates' rows.
void mean_row(const Head& head, const vase_rows& rows, const Kernels& kernels, Arena arena,
              std::span<float> mean) {
  const std::span<double> sum = arena.take<double>(mean.size());
  std::fill(sum.begin(), sum.end(), 0.0);
  for_row_blocks(head, rows, kernels, arena, [&](int32_t, DenseRows block) {
    for (int32_t i = 0; i < block.count; ++i)
      for (size_t d = 0; d < sum.size(); ++d) sum[d] += static_cast<double>(block.row(i)[d]);
  });
  for (size_t d = 0; d < sum.size(); ++d) mean[d] = static_cast<float>(sum[d] / head.size());
}

/// As for_row_blocks, rows less `mean`.
template <typename Use>
void for_centred_blocks(const Head& head, const vase_rows& rows, std::span<const float> mean,
                        const Kernels& kernels, Arena arena, const Use& use) {
  for_row_blocks(head, rows, kernels, arena, [&](int32_t first, DenseRows block) {
    for (int32_t i = 0; i < block.count; ++i)
      for (size_t d = 0; d < mean.size(); ++d) block.row(i)[d] -= mean[d];
    use(first, block);
  });
}

/// out[d][i] = block[i][d], for the first `dim` elements.
void transpose(DenseRows block, int32_t dim, DenseRows out) {
  for (int32_t d = 0; d < dim; ++d)
    for (int32_t i = 0; i < block.count; ++i) out.row(d)[i] = block.row(i)[d];
}

/// gram = Y^T Y: f32 within a block of rows, f64 from block to block.
void gram_matrix(const Head& head, const vase_rows& rows, std::span<const float> mean,
                 const Kernels& kernels, Arena arena, Square gram) {
  const int32_t dim = gram.dim, lanes = pad_to_lanes(dim);
  const auto elements = static_cast<size_t>(dim) * kRowBlock;
  const DenseRows columns{arena.take<float>(elements).data(), dim, kRowBlock};
  const LaneMatrix products{arena.take<float>(lane_elements(rows)).data(), dim, lanes};
  float* maxima = arena.take<float>(static_cast<size_t>(lanes)).data();  // of no interest
  std::fill(maxima, maxima + lanes, 0.0f);
  std::fill_n(gram.data, square_elements(rows), 0.0);
  for_centred_blocks(head, rows, mean, kernels, arena, [&](int32_t, DenseRows block) {
    transpose(block, dim, columns);
    kernels.multiply(columns, {block.data, block.count, lanes}, products, maxima);
    for (int32_t a = 0; a < dim; ++a)
      for (int32_t b = 0; b < dim; ++b) gram.row(a)[b] += static_cast<double>(products.row(a)[b]);
  });
}

void add_ridge(Square gram) {
  double trace = 0;
  for (int32_t d = 0; d < gram.dim; ++d) trace += gram.row(d)[d];
  const double ridge = ridge_of(trace, gram.dim);
  for (int32_t d = 0; d < gram.dim; ++d) gram.row(d)[d] += ridge;
}

/// The upper triangle of `m` becomes U, U^T U = m (Cholesky). What is below stays.
void factorise(Square m) {
  for (int32_t k = 0; k < m.dim; ++k) {
    double* pivot = m.row(k);
    const double root = std::sqrt(pivot[k]);
    for (int32_t j = k; j < m.dim; ++j) pivot[j] /= root;
    for (int32_t i = k + 1; i < m.dim; ++i)
      for (int32_t j = i; j < m.dim; ++j) m.row(i)[j] -= pivot[i] * pivot[j];
  }
}

/// The upper triangle U of `m` becomes its inverse, last row first. spare: [dim].
void invert_upper(Square m, std::span<double> spare) {
  for (int32_t i = m.dim - 1; i >= 0; --i) {
    double* row = m.row(i);
    std::copy(row, row + m.dim, spare.begin());
    const double inverse = 1.0 / row[i];
    std::fill(row + i, row + m.dim, 0.0);
    row[i] = inverse;
    for (int32_t k = i + 1; k < m.dim; ++k) {
      const double factor = spare[static_cast<size_t>(k)] * inverse;
      for (int32_t j = k; j < m.dim; ++j) row[j] -= factor * m.row(k)[j];
    }
  }
}

void copy_upper(Square from, LaneMatrix to) {
  for (int32_t d = 0; d < to.depth; ++d) {
    std::fill(to.row(d), to.row(d) + to.lanes, 0.0f);
    for (int32_t l = d; l < from.dim; ++l) to.row(d)[l] = static_cast<float>(from.row(d)[l]);
  }
}

/// z of the logarithm of a leverage, over all candidates.
class LogStandard {
 public:
  explicit LogStandard(std::span<const float> leverages) {
    const auto n = static_cast<double>(leverages.size());
    for (const float l : leverages) mean_ += log_of(l) / n;
    double variance = 0;
    for (const float l : leverages) variance += (log_of(l) - mean_) * (log_of(l) - mean_) / n;
    deviation_ = std::max(std::sqrt(variance), kLowestDeviation);
  }
  double operator()(float leverage) const { return (log_of(leverage) - mean_) / deviation_; }

 private:
  static double log_of(float leverage) {
    return std::log(static_cast<double>(bounded_leverage(leverage)));
  }

  double mean_ = 0;
  double deviation_;
};

}  // namespace

size_t ridge_leverage_bytes(const vase_rows& rows) {
  const auto dim = static_cast<size_t>(rows.dim);
  const auto lanes = static_cast<size_t>(pad_to_lanes(rows.dim));
  return Arena::bytes_of<float>(lanes) + Arena::bytes_of<double>(square_elements(rows)) +
         Arena::bytes_of<float>(dim * kRowBlock) + Arena::bytes_of<float>(lane_elements(rows)) +
         Arena::bytes_of<float>(lanes) + Arena::bytes_of<double>(lanes) + row_block_bytes(rows.dim);
}

void ridge_leverage(const Head& head, const vase_rows& rows, const Kernels& kernels, Arena arena,
                    std::span<float> out) {
  if (out.empty()) return;
  const std::span<float> mean = arena.take<float>(static_cast<size_t>(pad_to_lanes(rows.dim)));
  const Square gram{arena.take<double>(square_elements(rows)).data(), rows.dim};
  mean_row(head, rows, kernels, arena, mean);
  gram_matrix(head, rows, mean, kernels, arena, gram);
  add_ridge(gram);
  factorise(gram);
  invert_upper(gram, Arena(arena).take<double>(static_cast<size_t>(rows.dim)));

  // G^-1 = U^-1 U^-T, so the quadratic form is the squared length of y U^-1.
  const LaneMatrix inverse{arena.take<float>(lane_elements(rows)).data(), rows.dim,
                           pad_to_lanes(rows.dim)};
  copy_upper(gram, inverse);
  for_centred_blocks(head, rows, mean, kernels, arena, [&](int32_t first, DenseRows block) {
    kernels.projected_energy(block, inverse, out.data() + first);
  });
}

void combine_leverages(std::span<float> scores, std::span<const float> others) {
  const LogStandard z_score(scores), z_other(others);
  for (size_t i = 0; i < scores.size(); ++i)
    scores[i] = static_cast<float>(z_score(scores[i]) + z_other(others[i]));
}

}  // namespace vase
