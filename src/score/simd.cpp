// Compiled once for each instruction set (foreach_target includes this file again). A group of
// kLanes floats is one vector of AVX-512, two of AVX2, four of NEON; the order of all sums is the
// one that kernels.hpp describes.
#include "score/simd.hpp"

#include "score/simd_targets.hpp"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "score/simd.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>

#include "score/exp2.hpp"
#include "score/reciprocal.hpp"
#include "score/simd_vectors.hpp"

HWY_BEFORE_NAMESPACE();
namespace vase::HWY_NAMESPACE {
namespace {

// ---- sums along a row ---------------------------------------------------------------------------

/// sums += a[0 .. kLanes) * b[0 .. kLanes).
HWY_INLINE void multiply_add(const float* a, const float* b, Group& sums) {
  for (int i = 0; i < kVectors; ++i)
    sums.v[i] =
        hn::MulAdd(hn::LoadU(f32, a + i * kWidth), hn::LoadU(f32, b + i * kWidth), sums.v[i]);
}

void dots(DenseRows rows, const float* vectors, int32_t vector_stride, float* out) {
  for (int32_t i = 0; i < rows.count; ++i) {
    const float* vector = vectors + static_cast<ptrdiff_t>(i) * vector_stride;
    Group sums = zero_group();
    for (int32_t d = 0; d < rows.stride; d += kLanes)
      multiply_add(rows.row(i) + d, vector + d, sums);
    out[i] = fold(sums);
  }
}

void add_weighted_lanes(LaneMatrix m, const float* factors, float* out) {
  for (int32_t i = 0; i < m.depth; ++i) {
    Group sums = zero_group();
    for (int32_t l = 0; l < m.lanes; l += kLanes) multiply_add(m.row(i) + l, factors + l, sums);
    out[i] += fold(sums);
  }
}

void ranges(DenseRows rows, int32_t dim, float* out) {
  for (int32_t i = 0; i < rows.count; ++i) {
    const float* row = rows.row(i);
    V low = hn::Set(f32, row[0]), high = low;
    int32_t d = 0;
    for (; d + kWidth <= dim; d += kWidth) {
      const V v = hn::LoadU(f32, row + d);
      low = hn::Min(low, v);
      high = hn::Max(high, v);
    }
    for (; d < dim; ++d) {
      const V v = hn::Set(f32, row[d]);
      low = hn::Min(low, v);
      high = hn::Max(high, v);
    }
    out[i] = hn::GetLane(hn::MaxOfLanes(f32, high)) - hn::GetLane(hn::MinOfLanes(f32, low));
  }
}

void add_scaled_rows(DenseRows rows, const float* factors, float* sum) {
  for (int32_t i = 0; i < rows.count; ++i) {
    const V factor = hn::Set(f32, factors[i]);
    for (int32_t d = 0; d < rows.stride; d += kWidth)
      hn::StoreU(hn::MulAdd(factor, hn::LoadU(f32, rows.row(i) + d), hn::LoadU(f32, sum + d)), f32,
                 sum + d);
  }
}

// ---- products with a matrix ---------------------------------------------------------------------

// A tile is kTileRows rows by up to kTileVectors vectors of lanes, held in registers while d runs:
// 24 of the 32 registers of AVX-512 and NEON, 12 of the 16 of AVX2.
constexpr size_t kTileRows = 6;
constexpr size_t kTileVectors = HWY_TARGET == HWY_AVX2 ? 2 : 4;

/// tile[r][v] = sum_d rows[first + r][d] * by[d][lane + v * kWidth ...].
template <size_t kRows, size_t kColumns>
HWY_INLINE void multiply_tile(DenseRows rows, int32_t first, LaneMatrix by, int32_t lane,
                              V (&tile)[kRows][kColumns]) {
  for (auto& row : tile)
    for (V& v : row) v = hn::Zero(f32);
  const float* HWY_RESTRICT a = rows.row(first);
  const float* HWY_RESTRICT b = by.data + lane;
  for (int32_t d = 0; d < by.depth; ++d, b += by.lanes) {
    V column[kColumns];
    for (size_t v = 0; v < kColumns; ++v)
      column[v] = hn::LoadU(f32, b + static_cast<int>(v) * kWidth);
    for (size_t r = 0; r < kRows; ++r) {
      const V element = hn::Set(f32, a[static_cast<int>(r) * rows.stride + d]);
      for (size_t v = 0; v < kColumns; ++v) tile[r][v] = hn::MulAdd(element, column[v], tile[r][v]);
    }
  }
}

/// Calls use(row, lane, vector) for each vector of rows x by. `lane` is the first lane of the
/// vector. For one row, lanes come in ascending order within a tile.
template <size_t kRows, size_t kColumns, typename Use>
HWY_INLINE void for_tile(DenseRows rows, int32_t first, LaneMatrix by, int32_t lane,
                         const Use& use) {
  V tile[kRows][kColumns];
  multiply_tile<kRows, kColumns>(rows, first, by, lane, tile);
  for (size_t r = 0; r < kRows; ++r)
    for (size_t v = 0; v < kColumns; ++v)
      use(first + static_cast<int32_t>(r), lane + static_cast<int32_t>(v) * kWidth, tile[r][v]);
}

/// All lanes of one block of rows: tiles of kColumns vectors while they fit, then of half as many.
template <size_t kRows, size_t kColumns, typename Use>
HWY_INLINE void for_row_block(DenseRows rows, int32_t first, LaneMatrix by, int32_t lane,
                              const Use& use) {
  constexpr auto kTileLanes = static_cast<int32_t>(kColumns) * kWidth;
  for (; lane + kTileLanes <= by.lanes; lane += kTileLanes)
    for_tile<kRows, kColumns>(rows, first, by, lane, use);
  if constexpr (kColumns > 1) {
    if (lane < by.lanes) for_row_block<kRows, kColumns / 2>(rows, first, by, lane, use);
  }
}

template <typename Use>
HWY_INLINE void for_product(DenseRows rows, LaneMatrix by, const Use& use) {
  constexpr auto kRows = static_cast<int32_t>(kTileRows);
  int32_t i = 0;
  for (; i + kRows <= rows.count; i += kRows)
    for_row_block<kTileRows, kTileVectors>(rows, i, by, 0, use);
  for (; i < rows.count; ++i) for_row_block<1, kTileVectors>(rows, i, by, 0, use);
}

void multiply(DenseRows rows, LaneMatrix by, LaneMatrix out, float* maxima) {
  for_product(rows, by, [&](int32_t i, int32_t lane, V v) HWY_ATTR {
    hn::StoreU(v, f32, out.row(i) + lane);
    const V maximum = hn::LoadU(f32, maxima + lane);
    hn::StoreU(hn::IfThenElse(hn::Lt(maximum, v), v, maximum), f32, maxima + lane);  // not for NaN
  });
}

void projected_energy(DenseRows rows, LaneMatrix by, float* out) {
  // Rows are taken in tiles, so that each needs its own partial sums until all its lanes are done.
  constexpr auto kRows = static_cast<int32_t>(kTileRows);
  for (int32_t i = 0; i < rows.count;) {
    const int32_t count = rows.count - i >= kRows ? kRows : 1;
    alignas(64) float sums[kTileRows][kLanes] = {};
    const auto add_square = [&](int32_t row, int32_t lane, V v) HWY_ATTR {
      float* sum = sums[row - i] + lane % kLanes;
      hn::StoreU(hn::MulAdd(v, v, hn::LoadU(f32, sum)), f32, sum);
    };
    if (count == kRows)
      for_row_block<kTileRows, kTileVectors>(rows, i, by, 0, add_square);
    else
      for_row_block<1, kTileVectors>(rows, i, by, 0, add_square);
    for (int32_t r = 0; r < count; ++r) {
      Group g;
      for (int v = 0; v < kVectors; ++v) g.v[v] = hn::LoadU(f32, sums[r] + v * kWidth);
      out[i + r] = fold(g);
    }
    i += count;
  }
}

// ---- softmax ------------------------------------------------------------------------------------

/// exp2_nonpositive of exp2.hpp, lane by lane.
HWY_INLINE V exp2_nonpositive(V x) {
  const hn::Rebind<int32_t, F32> i32;
  const V lowest = hn::Set(f32, kExp2Lowest);
  x = hn::IfThenElse(hn::Gt(x, lowest), x, lowest);
  const V whole = hn::Round(x), f = hn::Sub(x, whole);
  V series = hn::Set(f32, kExp2Series[0]);
  for (int k = 1; k < 8; ++k) series = hn::MulAdd(series, f, hn::Set(f32, kExp2Series[k]));
  const auto power = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(i32, whole), hn::Set(i32, 127)));
  return hn::Mul(series, hn::BitCast(f32, power));
}

void exp2_columns(LaneMatrix m, const float* maxima, float* sums) {
  for (int32_t lane = 0; lane < m.lanes; lane += kLanes) {
    Group sum = zero_group(), maximum;
    for (int v = 0; v < kVectors; ++v) maximum.v[v] = hn::LoadU(f32, maxima + lane + v * kWidth);
    for (int32_t i = 0; i < m.depth; ++i)
      for (int v = 0; v < kVectors; ++v) {
        float* at = m.row(i) + lane + v * kWidth;
        const V e = exp2_nonpositive(hn::Sub(hn::LoadU(f32, at), maximum.v[v]));
        hn::StoreU(e, f32, at);
        sum.v[v] = hn::Add(sum.v[v], e);
      }
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum.v[v], f32, sums + lane + v * kWidth);
  }
}

// ---- how near the newest keys are ---------------------------------------------------------------

/// reciprocal of reciprocal.hpp, lane by lane.
HWY_INLINE V reciprocal(V x) {
  const hn::Rebind<int32_t, F32> i32;
  V y = hn::BitCast(f32, hn::Sub(hn::Set(i32, kReciprocalBits), hn::BitCast(i32, x)));
  const V two = hn::Set(f32, 2.0f);
  for (int step = 0; step < kReciprocalSteps; ++step) y = hn::Mul(y, hn::NegMulAdd(x, y, two));
  return y;
}

void crowds(LaneMatrix products, const float* squares, const float* lane_squares, int32_t first,
            float least_square, float* out) {
  const V two = hn::Set(f32, 2.0f), least = hn::Set(f32, least_square);
  for (int32_t i = 0; i < products.depth; ++i) {
    const int32_t from = std::max(0, first + i);
    const V from_lane = hn::Set(f32, static_cast<float>(from)), square = hn::Set(f32, squares[i]);
    Group sum = zero_group();
    for (int32_t lane = from / kLanes * kLanes; lane < products.lanes; lane += kLanes)
      for (int v = 0; v < kVectors; ++v) {
        const int32_t l = lane + v * kWidth;
        const V both = hn::Add(square, hn::LoadU(f32, lane_squares + l));
        const V apart = hn::NegMulAdd(two, hn::LoadU(f32, products.row(i) + l), both);
        const V near = reciprocal(hn::IfThenElse(hn::Lt(apart, least), least, apart));
        const V cube = hn::Mul(hn::Mul(near, near), near);
        const auto newer = hn::Ge(hn::Iota(f32, static_cast<float>(l)), from_lane);
        sum.v[v] = hn::Add(sum.v[v], hn::IfThenElseZero(newer, cube));
      }
    out[i] = fold(sum);
  }
}

}  // namespace

const Kernels* kernels() {
  static const Kernels kernels{
      hwy::TargetName(HWY_TARGET),
      read_rows,
      turn_back,
      pair_lengths,
      ranges,
      multiply,
      exp2_columns,
      add_weighted_lanes,
      projected_energy,
      dots,
      add_scaled_rows,
      centre_rows,
      crowds,
  };
  return &kernels;
}
bool fuses() { return HWY_NATIVE_FMA != 0; }

}  // namespace vase::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vase {

HWY_EXPORT(kernels);

const Kernels& simd_kernels() { return *HWY_DYNAMIC_DISPATCH(kernels)(); }

HWY_EXPORT(fuses);

bool simd_has_fma() { return HWY_DYNAMIC_DISPATCH(fuses)(); }

}  // namespace vase
#endif
