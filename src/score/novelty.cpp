#include "score/novelty.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/novelty_rule.hpp"

namespace vase {
namespace {

static_assert(kNoveltyRows % kLanes == 0);

/// The squared length of no row: its distance to any adds nothing to a sum of d^-6.
constexpr float kFar = 1e17f;

/// The newest rows of a head, candidates and recency window, oldest first.
struct Newest {
  int32_t first;  ///< place of the oldest of them among all rows of the head
  int32_t count;
  std::array<int32_t, kNoveltyRows> cells, positions;

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
void subtract_centre(int32_t count, const Columns& columns) {
  float* squares = columns.squares.data();
  for (int32_t d = 0; d < columns.rows.depth; ++d) {
    float* lanes = columns.rows.row(d);
    double sum = 0;
    for (int32_t i = 0; i < count; ++i) sum += static_cast<double>(lanes[i]);
    const auto mean = static_cast<float>(sum / count);
    columns.centre[static_cast<size_t>(d)] = mean;
    for (int32_t i = 0; i < count; ++i) {
      lanes[i] -= mean;
      squares[i] += lanes[i] * lanes[i];
    }
  }
}

void read_columns(const RowSource& source, const Newest& newest, Arena arena,
                  const Columns& columns) {
  const LaneMatrix& to = columns.rows;
  std::fill_n(to.data, static_cast<size_t>(to.depth) * static_cast<size_t>(to.lanes), 0.0f);
  std::fill(columns.centre.begin(), columns.centre.end(), 0.0f);
  std::fill(columns.squares.begin(), columns.squares.end(), 0.0f);
  const auto read = [&](int32_t first, DenseRows block) {
    source.read(newest.cells.data() + first, newest.positions.data() + first, block);
  };
  for_blocks(newest.count, source.rows.dim, arena, read, [&](int32_t first, DenseRows block) {
    for (int32_t d = 0; d < to.depth; ++d)
      for (int32_t i = 0; i < block.count; ++i) to.row(d)[first + i] = block.row(i)[d];
  });
  subtract_centre(newest.count, columns);
  std::fill(columns.squares.begin() + newest.count, columns.squares.end(), kFar);
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
  const Newest newest(source.head);
  const int32_t lanes = pad_to_lanes(newest.count), dim = source.rows.dim;
  const auto many = static_cast<size_t>(lanes);
  const Columns columns{{arena.take<float>(static_cast<size_t>(dim) * many).data(), dim, lanes},
                        arena.take<float>(many),
                        arena.take<float>(static_cast<size_t>(pad_to_lanes(dim)))};
  const std::span<float> maxima = arena.take<float>(many);  // not needed, but multiply() has them
  std::fill(maxima.begin(), maxima.end(), 0.0f);
  float* products_data = arena.take<float>(static_cast<size_t>(kRowBlock) * many).data();
  read_columns(source, newest, arena, columns);

  source.for_blocks(arena, [&](int32_t first, DenseRows block) {
    const LaneMatrix products{products_data, block.count, lanes};
    std::array<float, kRowBlock> squares;
    kernels.centre_rows(block, columns.centre.data());
    kernels.dots(block, block.data, block.stride, squares.data());
    kernels.multiply(block, columns.rows, products, maxima.data());
    const int32_t newer = first + 1 - newest.first;  // the lane after that of row `first`
    float* crowds = out.data() + first;
    kernels.crowds(products, squares.data(), columns.squares.data(), newer, crowds);
    std::transform(crowds, crowds + block.count, crowds, [](float crowd) {
      return 1.0f / std::cbrt(crowd < kLeastCrowd ? kLeastCrowd : crowd);
    });
  });
}

}  // namespace vase
