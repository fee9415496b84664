#include "score/novelty.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/novelty_rule.hpp"
#include "score/spoilt_rows.hpp"

namespace vase {
namespace {

static_assert(kNoveltyRows % kLanes == 0);

/// The squared length of no row, in the unit of key_scale: its distance to any adds nothing to a
/// sum of d^-6.
constexpr float kFar = 1e17f;

/// The newest rows of a head, candidates and recency window, oldest first.
struct Newest {
  int32_t first;  ///< place of the oldest of them among all rows of the head
  int32_t count;
  std::array<int32_t, kNoveltyRows> cells, positions;
  std::array<bool, kNoveltyRows> spoilt = {};

  explicit Newest(const Head& head) {
    const auto recent = static_cast<int32_t>(head.recent_cells.size());
    count = std::min(kNoveltyRows, head.size() + recent);
    first = head.size() + recent - count;
    for (size_t at = 0; at < static_cast<size_t>(count); ++at) {
      const size_t row = static_cast<size_t>(first) + at;
      const bool candidate = row < head.cells.size();
      const size_t in_window = row - head.cells.size();
      cells[at] = candidate ? head.cells[row] : head.recent_cells[in_window];
      positions[at] = candidate ? head.positions[row] : head.recent_positions[in_window];
    }
  }
};

/// Rows as the lanes of a matrix, less their centre, and their squared lengths. Lanes beyond the
/// last row are farther than any row.
struct Columns {
  LaneMatrix rows;           ///< [dim][lanes]
  std::span<float> squares;  ///< [lanes]
  std::span<float> centre;   ///< [stride]
};

/// Distances are taken about the centre, so that little is lost to cancellation.
void subtract_centre(const Newest& newest, const Columns& columns) {
  float* squares = columns.squares.data();
  const int32_t spoilt = static_cast<int32_t>(std::ranges::count(newest.spoilt, true));
  for (int32_t d = 0; d < columns.rows.depth; ++d) {
    float* lanes = columns.rows.row(d);
    double sum = 0;
    for (int32_t i = 0; i < newest.count; ++i) sum += static_cast<double>(lanes[i]);
    const auto mean = static_cast<float>(sum / std::max(newest.count - spoilt, 1));
    columns.centre[static_cast<size_t>(d)] = mean;
    for (int32_t i = 0; i < newest.count; ++i) {
      lanes[i] -= mean;
      squares[i] += lanes[i] * lanes[i];
    }
  }
}

/// square: that of the factor of key_scale.
void read_columns(const RowSource& source, Newest& newest, float square, Arena arena,
                  const Columns& columns) {
  const LaneMatrix& to = columns.rows;
  const std::span<float> elements(to.data,
                                  static_cast<size_t>(to.depth) * static_cast<size_t>(to.lanes));
  std::ranges::fill(elements, 0.0f);
  std::fill(columns.centre.begin(), columns.centre.end(), 0.0f);
  std::fill(columns.squares.begin(), columns.squares.end(), 0.0f);
  const auto read = [&](int32_t first, DenseRows block) {
    source.read(newest.cells.data() + first, newest.positions.data() + first, block);
  };
  for_blocks(newest.count, source.rows.dim, arena, read, [&](int32_t first, DenseRows block) {
    replace_spoilt(block, source.kernels, 0.0f,
                   [&](int32_t i) { newest.spoilt[static_cast<size_t>(first + i)] = true; });
    for (int32_t d = 0; d < to.depth; ++d)
      for (int32_t i = 0; i < block.count; ++i) to.row(d)[first + i] = block.row(i)[d];
  });
  subtract_centre(newest, columns);
  for (float& x : elements) x *= square;
  for (int32_t i = 0; i < static_cast<int32_t>(columns.squares.size()); ++i) {
    const auto lane = static_cast<size_t>(i);
    const bool there = i < newest.count && !newest.spoilt[lane];
    columns.squares[lane] = there ? columns.squares[lane] * square : kFar;
  }
}

/// The unit for this head's keys.
KeyScale scale_of(const RowSource& source, Arena arena) {
  const int32_t n = source.head.size(), count = std::min(kScaleRows, n);
  std::array<int32_t, kScaleRows> cells;
  for (int32_t i = 0; i < count; ++i)
    cells[static_cast<size_t>(i)] =
        source.head.cells[static_cast<size_t>(scale_sample(i, count, n))];
  const auto read = [&](int32_t first, DenseRows block) {
    source.kernels.read_rows(source.rows, source.head.index, cells.data() + first, block);
  };
  float sum = 0;
  int32_t finite = 0;
  for_blocks(count, source.rows.dim, arena, read, [&](int32_t, DenseRows block) {
    std::array<float, kRowBlock> squares;
    source.kernels.dots(block, block.data, block.stride, squares.data());
    for (const float square : std::span(squares).first(static_cast<size_t>(block.count)))
      if (std::isfinite(square)) sum += square, ++finite;
  });
  return finite > 0 ? key_scale(sum / static_cast<float>(finite)) : KeyScale{};
}

}  // namespace

size_t novelty_bytes(const vase_rows& rows) {
  constexpr auto kColumns = static_cast<size_t>(kNoveltyRows);
  const auto dim = static_cast<size_t>(rows.dim);
  return Arena::bytes_of<float>(dim * kColumns) + 2 * Arena::bytes_of<float>(kColumns) +
         Arena::bytes_of<float>(static_cast<size_t>(pad_to_lanes(rows.dim))) +
         Arena::bytes_of<float>(static_cast<size_t>(kRowBlock) * kColumns) +
         row_block_bytes(rows.dim);
}

void novelty(const RowSource& source, Arena arena, std::span<float> out) {
  if (out.empty()) return;
  const Kernels& kernels = source.kernels;
  Newest newest(source.head);
  const int32_t lanes = pad_to_lanes(newest.count), dim = source.rows.dim;
  const auto many = static_cast<size_t>(lanes);
  const Columns columns{{arena.take<float>(static_cast<size_t>(dim) * many).data(), dim, lanes},
                        arena.take<float>(many),
                        arena.take<float>(static_cast<size_t>(pad_to_lanes(dim)))};
  const std::span<float> maxima = arena.take<float>(many);  // not needed, but multiply() has them
  std::fill(maxima.begin(), maxima.end(), 0.0f);
  float* products_data = arena.take<float>(static_cast<size_t>(kRowBlock) * many).data();
  const KeyScale scale = scale_of(source, arena);
  const float square = scale.factor * scale.factor;
  read_columns(source, newest, square, arena, columns);

  source.for_blocks(arena, [&](int32_t first, DenseRows block) {
    const LaneMatrix products{products_data, block.count, lanes};
    std::array<float, kRowBlock> squares;
    kernels.centre_rows(block, columns.centre.data());
    kernels.dots(block, block.data, block.stride, squares.data());
    for (int32_t i = 0; i < block.count; ++i) squares[static_cast<size_t>(i)] *= square;
    kernels.multiply(block, columns.rows, products, maxima.data());
    const int32_t newer = first + 1 - newest.first;  // the lane after that of row `first`
    float* crowds = out.data() + first;
    kernels.crowds(products, squares.data(), columns.squares.data(), newer, scale.least, crowds);
    for (int32_t i = 0; i < block.count; ++i)
      crowds[i] = std::isfinite(squares[static_cast<size_t>(i)])
                      ? 1.0f / std::cbrt(std::max(crowds[i], kLeastCrowd)) / square
                      : kSpoilt;
  });
}

}  // namespace vase
