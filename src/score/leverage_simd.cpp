// The kernels of the leverage, compiled once for each instruction set like simd.cpp. Triangles are
// walked in tiles that stay in registers while the sum runs: rows of a tile by groups of lanes, and
// what lies left of the diagonal is left out, group by group.
#include "score/simd_targets.hpp"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "score/leverage_simd.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "score/simd_vectors.hpp"

HWY_BEFORE_NAMESPACE();
namespace vase::HWY_NAMESPACE {
namespace {

// Both divide kLanes. A group is one vector of AVX-512, with registers for three times eight; two
// of AVX2 and four of NEON, with registers for four rows of one group.
constexpr int32_t kTileRows = kVectors == 1 ? 8 : 4;
constexpr size_t kTileGroups = kVectors == 1 ? 3 : 1;

/// What is summed of kRows rows by kGroups groups of lanes.
template <size_t kRows, size_t kGroups>
struct Tile {
  static constexpr size_t kColumns = kGroups * kVectors;
  V v[kRows][kColumns];

  Tile() {
    for (auto& row : v)
      for (V& x : row) x = hn::Zero(f32);
  }

  /// v[r][c] += factors[r * stride] * lanes[c], from the group `kFirst` on.
  template <size_t kFirst>
  HWY_INLINE void add(const float* factors, int32_t stride, const float* lanes) {
    V column[kColumns];
    for (size_t c = kFirst * kVectors; c < kColumns; ++c)
      column[c] = hn::LoadU(f32, lanes + static_cast<int>(c) * kWidth);
    for (size_t r = 0; r < kRows; ++r) {
      const V factor = hn::Set(f32, factors[static_cast<int>(r) * stride]);
      for (size_t c = kFirst * kVectors; c < kColumns; ++c)
        v[r][c] = hn::MulAdd(factor, column[c], v[r][c]);
    }
  }
};

/// Calls use.operator()<kGroups>(lane) for the tiles of the lanes [lane, lanes): as many groups as
/// a tile has, then fewer.
template <size_t kGroups = kTileGroups, typename Use>
HWY_INLINE void for_lane_tiles(int32_t lane, int32_t lanes, const Use& use) {
  constexpr auto kTileLanes = static_cast<int32_t>(kGroups) * kLanes;
  for (; lane + kTileLanes <= lanes; lane += kTileLanes) use.template operator()<kGroups>(lane);
  if constexpr (kGroups > 1) {
    if (lane < lanes) for_lane_tiles<kGroups - 1>(lane, lanes, use);
  }
}

void centre_rows(DenseRows rows, const float* centre) {
  for (int32_t i = 0; i < rows.count; ++i)
    for (int32_t d = 0; d < rows.stride; d += kWidth) {
      float* at = rows.row(i) + d;
      hn::StoreU(hn::Sub(hn::LoadU(f32, at), hn::LoadU(f32, centre + d)), f32, at);
    }
}

// ---- the Gram matrix ----------------------------------------------------------------------------

template <size_t kGroups>
HWY_INLINE void add_gram_tile(DenseRows rows, int32_t first, int32_t lane, LaneMatrix sum) {
  Tile<kTileRows, kGroups> tile;
  const float* row = rows.data;
  for (int32_t i = 0; i < rows.count; ++i, row += rows.stride)
    tile.template add<0>(row + first, 1, row + lane);
  for (size_t r = 0; r < kTileRows; ++r)
    for (size_t c = 0; c < tile.kColumns; ++c) {
      float* at = sum.row(first + static_cast<int32_t>(r)) + lane + static_cast<int>(c) * kWidth;
      hn::StoreU(hn::Add(hn::LoadU(f32, at), tile.v[r][c]), f32, at);
    }
}

void add_gram(DenseRows rows, LaneMatrix sum) {
  for (int32_t first = 0; first < rows.stride; first += kTileRows)
    for_lane_tiles(first / kLanes * kLanes, rows.stride,
                   [&]<size_t kGroups>(int32_t lane)
                       HWY_ATTR { add_gram_tile<kGroups>(rows, first, lane, sum); });
}

// ---- the inverse of its factor, in double precision ---------------------------------------------

using F64 = hn::CappedTag<double, 8>;
using D = hn::Vec<F64>;
constexpr F64 f64;
constexpr int kDoubles = static_cast<int>(hn::MaxLanes(f64));  // doubles a vector

constexpr size_t kPairVectors = 2;
constexpr int32_t kPairLanes = kPairVectors * kDoubles;

/// n rounded down to whole vectors, or pairs of them.
constexpr int32_t vector_of(int32_t n) { return n / kDoubles * kDoubles; }
constexpr int32_t pair_of(int32_t n) { return n / kPairLanes * kPairLanes; }

void move_sums(LaneMatrix from, SquareMatrix to) {
  const hn::Rebind<float, F64> half;
  for (int32_t a = 0; a < to.dim; ++a) {
    for (int32_t b = vector_of(a); b < to.dim; b += kDoubles) {
      const D moved = hn::PromoteTo(f64, hn::LoadU(half, from.row(a) + b));
      hn::StoreU(hn::Add(hn::LoadU(f64, to.row(a) + b), moved), f64, to.row(a) + b);
    }
    std::fill(from.row(a), from.row(a) + from.lanes, 0.0f);
  }
}

/// kTileRows rows by a pair of vectors, loaded from and stored to a matrix.
struct PairTile {
  D v[kTileRows][kPairVectors];

  template <typename Each>
  HWY_INLINE void for_each(double* first, int32_t stride, const Each& each) {
    for (int32_t r = 0; r < kTileRows; ++r)
      for (size_t c = 0; c < kPairVectors; ++c)
        each(v[r][c], first + r * stride + static_cast<int>(c) * kDoubles);
  }
};

HWY_INLINE void load_pair(const double* from, D (&pair)[kPairVectors]) {
  for (size_t c = 0; c < kPairVectors; ++c)
    pair[c] = hn::LoadU(f64, from + static_cast<int>(c) * kDoubles);
}

/// out[j] += factor * row[j] for j in [first, dim), whole vectors.
HWY_INLINE void add_row(double factor, const double* row, int32_t first, int32_t dim, double* out) {
  const D f = hn::Set(f64, factor);
  for (int32_t j = vector_of(first); j < dim; j += kDoubles)
    hn::StoreU(hn::MulAdd(f, hn::LoadU(f64, row + j), hn::LoadU(f64, out + j)), f64, out + j);
}

HWY_INLINE void scale_row(double factor, int32_t first, int32_t dim, double* row) {
  for (int32_t j = vector_of(first); j < dim; j += kDoubles)
    hn::StoreU(hn::Mul(hn::Set(f64, factor), hn::LoadU(f64, row + j)), f64, row + j);
}

/// The rows [first, first + kTileRows) of m less their share in the finished rows above.
HWY_INLINE void subtract_rows_above(SquareMatrix m, int32_t first, int32_t lane) {
  PairTile tile;
  double* at = m.row(first) + lane;
  tile.for_each(at, m.dim, [](D& v, double* from) HWY_ATTR { v = hn::LoadU(f64, from); });
  for (int32_t i = 0; i < first; ++i) {
    D pair[kPairVectors];
    load_pair(m.row(i) + lane, pair);
    for (int32_t r = 0; r < kTileRows; ++r) {
      const D factor = hn::Set(f64, m.row(i)[first + r]);
      for (size_t c = 0; c < kPairVectors; ++c)
        tile.v[r][c] = hn::NegMulAdd(factor, pair[c], tile.v[r][c]);
    }
  }
  tile.for_each(at, m.dim, [](D& v, double* to) HWY_ATTR { hn::StoreU(v, f64, to); });
}

void factorise(SquareMatrix m) {
  for (int32_t first = 0; first < m.dim; first += kTileRows) {
    for (int32_t lane = pair_of(first); lane < m.dim; lane += kPairLanes)
      subtract_rows_above(m, first, lane);
    for (int32_t k = first; k < first + kTileRows; ++k) {
      double* row = m.row(k);
      const double root = std::sqrt(row[k]);
      scale_row(1.0 / root, k, m.dim, row);
      row[k] = root;
      for (int32_t i = k + 1; i < first + kTileRows; ++i) add_row(-row[i], row, i, m.dim, m.row(i));
    }
  }
}

/// inverse[i][j] = sum_(end <= k <= j) u[i][k] * inverse[k][j] for the rows [first, end) and the
/// lanes of a pair.
HWY_INLINE void multiply_rows_below(SquareMatrix u, int32_t first, int32_t lane,
                                    SquareMatrix inverse) {
  const int32_t end = first + kTileRows;
  PairTile tile;
  for (auto& row : tile.v)
    for (D& v : row) v = hn::Zero(f64);
  for (int32_t k = lane + kPairLanes - 1; k >= end; --k) {
    D pair[kPairVectors];
    load_pair(inverse.row(k) + lane, pair);
    for (int32_t r = 0; r < kTileRows; ++r) {
      const D factor = hn::Set(f64, u.row(first + r)[k]);
      for (size_t c = 0; c < kPairVectors; ++c)
        tile.v[r][c] = hn::MulAdd(factor, pair[c], tile.v[r][c]);
    }
  }
  tile.for_each(inverse.row(first) + lane, u.dim,
                [](D& v, double* to) HWY_ATTR { hn::StoreU(v, f64, to); });
}

void invert_upper(SquareMatrix u, SquareMatrix inverse) {
  for (int32_t first = u.dim - kTileRows; first >= 0; first -= kTileRows) {
    const int32_t end = first + kTileRows;
    for (int32_t i = first; i < end; ++i)
      std::fill(inverse.row(i), inverse.row(i) + pair_of(first), 0.0);
    for (int32_t lane = pair_of(first); lane < u.dim; lane += kPairLanes)
      multiply_rows_below(u, first, lane, inverse);
    for (int32_t i = end - 1; i >= first; --i) {
      double* row = inverse.row(i);
      const double scale = 1.0 / u.row(i)[i];
      for (int32_t k = end - 1; k > i; --k) add_row(u.row(i)[k], inverse.row(k), k, u.dim, row);
      scale_row(-scale, i, u.dim, row);
      row[i] = scale;
    }
  }
}

// ---- the energy of rows times a triangle --------------------------------------------------------

/// tile += rows[first ...][depth] * by[depth][lane ...], where the group `kGroup` of the tile has
/// its diagonal and after it the next ones: each needs only the groups from its own on.
template <size_t kGroup, size_t kRows, size_t kGroups>
HWY_INLINE void multiply_diagonal(const float* rows, int32_t stride, LaneMatrix by, int32_t lane,
                                  Tile<kRows, kGroups>& tile) {
  if constexpr (kGroup < kGroups) {
    const int32_t depth = lane + static_cast<int32_t>(kGroup) * kLanes;
    for (int32_t d = depth; d < depth + kLanes; ++d)
      tile.template add<kGroup>(rows + d, stride, by.row(d) + lane);
    multiply_diagonal<kGroup + 1>(rows, stride, by, lane, tile);
  }
}

/// out[r] = the energies of kRows rows.
template <size_t kRows>
HWY_INLINE void row_energies(const float* rows, int32_t stride, LaneMatrix by, float* out) {
  Group sums[kRows];
  for (Group& sum : sums) sum = zero_group();
  for_lane_tiles(0, by.lanes, [&]<size_t kGroups>(int32_t lane) HWY_ATTR {
    Tile<kRows, kGroups> tile;
    for (int32_t d = 0; d < lane; ++d) tile.template add<0>(rows + d, stride, by.row(d) + lane);
    multiply_diagonal<0>(rows, stride, by, lane, tile);
    for (size_t r = 0; r < kRows; ++r)
      for (size_t c = 0; c < tile.kColumns; ++c) {
        V& sum = sums[r].v[c % kVectors];
        sum = hn::MulAdd(tile.v[r][c], tile.v[r][c], sum);
      }
  });
  for (size_t r = 0; r < kRows; ++r) out[r] = fold(sums[r]);
}

void triangular_energy(DenseRows rows, LaneMatrix by, float* out) {
  int32_t i = 0;
  for (; i + kTileRows <= rows.count; i += kTileRows)
    row_energies<kTileRows>(rows.row(i), rows.stride, by, out + i);
  for (; i < rows.count; ++i) row_energies<1>(rows.row(i), rows.stride, by, out + i);
}

// ---- the nearest of many vectors ----------------------------------------------------------------

void nearest(LaneMatrix products, const float* squares, int32_t first, float* out) {
  const V two = hn::Set(f32, 2.0f), none = hn::Set(f32, std::numeric_limits<float>::max());
  for (int32_t i = 0; i < products.depth; ++i) {
    const float* row = products.row(i);
    const int32_t from = std::max(0, first + i);
    const V from_lane = hn::Set(f32, static_cast<float>(from));
    V least = none;
    for (int32_t l = from / kWidth * kWidth; l < products.lanes; l += kWidth) {
      const V apart = hn::NegMulAdd(two, hn::LoadU(f32, row + l), hn::LoadU(f32, squares + l));
      const auto newer = hn::Ge(hn::Iota(f32, static_cast<float>(l)), from_lane);
      least = hn::Min(least, hn::IfThenElse(newer, apart, none));
    }
    out[i] = hn::GetLane(hn::MinOfLanes(f32, least));
  }
}

}  // namespace

LeverageKernels leverage_kernels() {
  return {centre_rows, add_gram, move_sums, factorise, invert_upper, triangular_energy, nearest};
}

}  // namespace vase::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
