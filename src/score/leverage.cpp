#include "score/leverage.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/leverage_rule.hpp"
#include "score/row_blocks.hpp"

namespace vase {
namespace {

/// Blocks of rows whose products are summed in f32 before f64 takes over.
constexpr int32_t kBlocksInSingle = 16;

size_t square(int32_t n) { return static_cast<size_t>(n) * static_cast<size_t>(n); }

/// centre[stride]: the mean of a block of candidates from all over the text.
void rough_centre(const Head& head, const vase_rows& rows, const Kernels& kernels, Arena arena,
                  std::span<float> centre) {
  const int32_t count = std::min(kRowBlock, head.size());
  std::array<int32_t, kRowBlock> cells;
  for (int32_t i = 0; i < count; ++i)
    cells[static_cast<size_t>(i)] =
        head.cells[static_cast<size_t>(int64_t{i} * head.size() / count)];
  const auto stride = static_cast<int32_t>(centre.size());
  const DenseRows block{arena.take<float>(kRowBlock * centre.size()).data(), count, stride};
  kernels.read_rows(rows, head.index, cells.data(), block);
  for (int32_t d = 0; d < stride; ++d) {
    double sum = 0;
    for (int32_t i = 0; i < count; ++i) sum += static_cast<double>(block.row(i)[d]);
    centre[static_cast<size_t>(d)] = static_cast<float>(sum / count);
  }
}

/// sum = sum_i (x_i - centre) and gram = sum_i (x_i - centre) (x_i - centre)^T: f32 within blocks
/// of rows, f64 from then on.
void sum_about(std::span<const float> centre, const Head& head, const vase_rows& rows,
               const Kernels& kernels, Arena arena, std::span<double> sum, SquareMatrix gram) {
  const std::span<float> block_sum = arena.take<float>(sum.size());
  const LaneMatrix products{arena.take<float>(square(gram.dim)).data(), gram.dim, gram.dim};
  std::fill(sum.begin(), sum.end(), 0.0);
  std::fill_n(gram.data, square(gram.dim), 0.0);
  std::fill_n(products.data, square(gram.dim), 0.0f);
  std::array<float, kRowBlock> ones;
  ones.fill(1.0f);
  for_row_blocks(head, rows, kernels, arena, [&](int32_t first, DenseRows block) {
    kernels.leverage.centre_rows(block, centre.data());
    std::fill(block_sum.begin(), block_sum.end(), 0.0f);
    kernels.add_scaled_rows(block, ones.data(), block_sum.data());
    for (size_t d = 0; d < sum.size(); ++d) sum[d] += static_cast<double>(block_sum[d]);
    kernels.leverage.add_gram(block, products);
    const int32_t end = first + block.count;
    if (end % (kBlocksInSingle * kRowBlock) == 0 || end == head.size())
      kernels.leverage.move_sums(products, gram);
  });
}

/// Mean and Y^T Y from one pass over the rows. Taken about a rough centre c, the products are n m
/// m^T too large, m = mean - c. In any direction that is mostly 1 / kRowBlock of the sum of squares
/// and at most n / kRowBlock times it (c is the mean of kRowBlock of the rows): little is lost to
/// cancellation however large the mean is.
void mean_and_gram(const Head& head, const vase_rows& rows, const Kernels& kernels, Arena arena,
                   std::span<float> mean, SquareMatrix gram) {
  const std::span<double> sum = arena.take<double>(mean.size());
  const std::span<float> centre = arena.take<float>(mean.size());
  rough_centre(head, rows, kernels, arena, centre);
  sum_about(centre, head, rows, kernels, arena, sum, gram);
  for (size_t d = 0; d < mean.size(); ++d)
    mean[d] = static_cast<float>(static_cast<double>(centre[d]) + sum[d] / head.size());
  for (int32_t a = 0; a < gram.dim; ++a) {
    const double m = sum[static_cast<size_t>(a)] / head.size();
    for (int32_t b = a; b < gram.dim; ++b) gram.row(a)[b] -= m * sum[static_cast<size_t>(b)];
  }
}

/// Elements behind a row's last of `dim` get it as well: they are zeros and stay apart from all
/// others.
void add_ridge(SquareMatrix gram, int32_t dim) {
  double trace = 0;
  for (int32_t d = 0; d < dim; ++d) trace += gram.row(d)[d];
  const double ridge = ridge_of(trace, dim);
  for (int32_t d = 0; d < gram.dim; ++d) gram.row(d)[d] += ridge;
}

/// The inverse of the upper triangular u, in f32.
void invert(SquareMatrix u, const Kernels& kernels, Arena arena, LaneMatrix out) {
  const SquareMatrix inverse{arena.take<double>(square(u.dim)).data(), u.dim};
  kernels.leverage.invert_upper(u, inverse);
  std::transform(inverse.data, inverse.data + square(u.dim), out.data,
                 [](double x) { return static_cast<float>(x); });
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
  const int32_t stride = pad_to_lanes(rows.dim);
  const auto n = static_cast<size_t>(stride);
  const size_t singles = Arena::bytes_of<float>(square(stride)),
               doubles = Arena::bytes_of<double>(square(stride));
  const size_t to_sum = Arena::bytes_of<double>(n) + 2 * Arena::bytes_of<float>(n) + singles +
                        row_block_bytes(rows.dim);
  const size_t to_project = singles + std::max(doubles, row_block_bytes(rows.dim));
  return Arena::bytes_of<float>(n) + doubles + std::max(to_sum, to_project);
}

void ridge_leverage(const Head& head, const vase_rows& rows, const Kernels& kernels, Arena arena,
                    std::span<float> out) {
  if (out.empty()) return;
  const int32_t stride = pad_to_lanes(rows.dim);
  const std::span<float> mean = arena.take<float>(static_cast<size_t>(stride));
  const SquareMatrix gram{arena.take<double>(square(stride)).data(), stride};
  mean_and_gram(head, rows, kernels, arena, mean, gram);
  add_ridge(gram, rows.dim);
  kernels.leverage.factorise(gram);

  // G^-1 = U^-1 U^-T, so the quadratic form is the squared length of y U^-1.
  const LaneMatrix inverse{arena.take<float>(square(stride)).data(), stride, stride};
  invert(gram, kernels, arena, inverse);
  for_row_blocks(head, rows, kernels, arena, [&](int32_t first, DenseRows block) {
    kernels.leverage.centre_rows(block, mean.data());
    kernels.leverage.triangular_energy(block, inverse, out.data() + first);
  });
}

void combine_leverages(std::span<float> scores, std::span<const float> others) {
  const LogStandard z_score(scores), z_other(others);
  for (size_t i = 0; i < scores.size(); ++i)
    scores[i] = static_cast<float>(z_score(scores[i]) + z_other(others[i]));
}

}  // namespace vase
