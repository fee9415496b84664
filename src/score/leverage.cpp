#include "score/leverage.hpp"

#include <algorithm>
#include <array>

#include "core/leverage_rule.hpp"

namespace vase {
namespace {

/// Blocks of rows whose products are summed in f32 before f64 takes over.
constexpr int32_t kBlocksInSingle = 16;

size_t square(int32_t n) { return static_cast<size_t>(n) * static_cast<size_t>(n); }

/// centre[stride]: the mean of a block of candidates from all over the text.
void rough_centre(const RowSource& source, Arena arena, std::span<float> centre) {
  const Head& head = source.head;
  const int32_t count = std::min(kRowBlock, head.size());
  std::array<int32_t, kRowBlock> cells, positions;
  for (int32_t i = 0; i < count; ++i) {
    const auto from = static_cast<size_t>(int64_t{i} * head.size() / count);
    cells[static_cast<size_t>(i)] = head.cells[from];
    positions[static_cast<size_t>(i)] = head.positions[from];
  }
  const auto stride = static_cast<int32_t>(centre.size());
  const DenseRows block{arena.take<float>(kRowBlock * centre.size()).data(), count, stride};
  source.read(cells.data(), positions.data(), block);
  for (int32_t d = 0; d < stride; ++d) {
    double sum = 0;
    for (int32_t i = 0; i < count; ++i) sum += static_cast<double>(block.row(i)[d]);
    centre[static_cast<size_t>(d)] = static_cast<float>(sum / count);
  }
}

/// sum = sum_i (x_i - centre) and gram = sum_i (x_i - centre) (x_i - centre)^T: f32 within blocks
/// of rows, f64 from then on.
void sum_about(std::span<const float> centre, const RowSource& source, Arena arena,
               std::span<double> sum, SquareMatrix gram) {
  const Kernels& kernels = source.kernels;
  const std::span<float> block_sum = arena.take<float>(sum.size());
  const LaneMatrix products{arena.take<float>(square(gram.dim)).data(), gram.dim, gram.dim};
  std::fill(sum.begin(), sum.end(), 0.0);
  std::fill_n(gram.data, square(gram.dim), 0.0);
  std::fill_n(products.data, square(gram.dim), 0.0f);
  std::array<float, kRowBlock> ones;
  ones.fill(1.0f);
  source.for_blocks(arena, [&](int32_t first, DenseRows block) {
    kernels.leverage.centre_rows(block, centre.data());
    std::fill(block_sum.begin(), block_sum.end(), 0.0f);
    kernels.add_scaled_rows(block, ones.data(), block_sum.data());
    for (size_t d = 0; d < sum.size(); ++d) sum[d] += static_cast<double>(block_sum[d]);
    kernels.leverage.add_gram(block, products);
    const int32_t end = first + block.count;
    if (end % (kBlocksInSingle * kRowBlock) == 0 || end == source.head.size())
      kernels.leverage.move_sums(products, gram);
  });
}

/// Mean and Y^T Y from one pass over the rows. Taken about a rough centre c, the products are n m
/// m^T too large, m = mean - c. In any direction that is mostly 1 / kRowBlock of the sum of squares
/// and at most n / kRowBlock times it (c is the mean of kRowBlock of the rows): little is lost to
/// cancellation however large the mean is.
void mean_and_gram(const RowSource& source, Arena arena, std::span<float> mean, SquareMatrix gram) {
  const int32_t n = source.head.size();
  const std::span<double> sum = arena.take<double>(mean.size());
  const std::span<float> centre = arena.take<float>(mean.size());
  rough_centre(source, arena, centre);
  sum_about(centre, source, arena, sum, gram);
  for (size_t d = 0; d < mean.size(); ++d)
    mean[d] = static_cast<float>(static_cast<double>(centre[d]) + sum[d] / n);
  for (int32_t a = 0; a < gram.dim; ++a) {
    const double m = sum[static_cast<size_t>(a)] / n;
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

void ridge_leverage(const RowSource& source, Arena arena, std::span<float> out) {
  if (out.empty()) return;
  const Kernels& kernels = source.kernels;
  const int32_t stride = pad_to_lanes(source.rows.dim);
  const std::span<float> mean = arena.take<float>(static_cast<size_t>(stride));
  const SquareMatrix gram{arena.take<double>(square(stride)).data(), stride};
  mean_and_gram(source, arena, mean, gram);
  add_ridge(gram, source.rows.dim);
  kernels.leverage.factorise(gram);

  // G^-1 = U^-1 U^-T, so the quadratic form is the squared length of y U^-1.
  const LaneMatrix inverse{arena.take<float>(square(stride)).data(), stride, stride};
  invert(gram, kernels, arena, inverse);
  source.for_blocks(arena, [&](int32_t first, DenseRows block) {
    kernels.leverage.centre_rows(block, mean.data());
    kernels.leverage.triangular_energy(block, inverse, out.data() + first);
  });
}

void multiply_leverages(std::span<float> scores, std::span<const float> others) {
  for (size_t i = 0; i < scores.size(); ++i)
    scores[i] = bounded_leverage(scores[i]) * bounded_leverage(others[i]);
}

}  // namespace vase
