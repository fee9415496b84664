// Rows as they come out of the cache, and keys as they were before RoPE: compiled once for each
// instruction set like simd.cpp.
#include "score/simd_targets.hpp"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "score/rows_simd.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>

#include <algorithm>
#include <cstring>

#include "core/rope_rule.hpp"
#include "core/rows.hpp"
#include "score/simd_vectors.hpp"
#include "score/sine.hpp"

HWY_BEFORE_NAMESPACE();
namespace vase::HWY_NAMESPACE {
namespace {

// ---- reading ------------------------------------------------------------------------------------

void read_f16(const std::byte* row, int32_t dim, float* out) {
  const hn::Rebind<hwy::float16_t, F32> f16;
  int32_t d = 0;
  for (; d + kWidth <= dim; d += kWidth)
    hn::StoreU(hn::PromoteTo(f32, hn::LoadU(f16, reinterpret_cast<const hwy::float16_t*>(row) + d)),
               f32, out + d);
  if (d < dim) read_row(row + 2 * d, VASE_F16, dim - d, out + d);
}

void read_bf16(const std::byte* row, int32_t dim, float* out) {
  const hn::Rebind<hwy::bfloat16_t, F32> bf16;
  int32_t d = 0;
  for (; d + kWidth <= dim; d += kWidth)
    hn::StoreU(
        hn::PromoteTo(f32, hn::LoadU(bf16, reinterpret_cast<const hwy::bfloat16_t*>(row) + d)), f32,
        out + d);
  if (d < dim) read_row(row + 2 * d, VASE_BF16, dim - d, out + d);
}

/// The scale of the block of VASE_Q8_0 or VASE_Q4_0 that starts at `block`.
HWY_INLINE V block_scale(const std::byte* block) {
  uint16_t bits;
  std::memcpy(&bits, block, sizeof bits);
  return hn::Set(f32, f16_to_f32(bits));
}

void read_q8_0(const std::byte* row, int32_t dim, float* out) {
  const hn::Rebind<int8_t, F32> i8;
  const hn::Rebind<int32_t, F32> i32;
  for (int32_t first = 0; first < dim; first += kBlockElements, row += kQ8BlockBytes) {
    const V scale = block_scale(row);
    const auto* quants = reinterpret_cast<const int8_t*>(row + 2);
    for (int32_t i = 0; i < kBlockElements; i += kWidth)
      hn::StoreU(hn::Mul(scale, hn::ConvertTo(f32, hn::PromoteTo(i32, hn::LoadU(i8, quants + i)))),
                 f32, out + first + i);
  }
}

void read_q4_0(const std::byte* row, int32_t dim, float* out) {
  constexpr int32_t kHalf = kBlockElements / 2;
  const hn::Rebind<uint8_t, F32> u8;
  const hn::Rebind<int32_t, F32> i32;
  const auto low_bits = hn::Set(i32, 15), middle = hn::Set(i32, 8);
  for (int32_t first = 0; first < dim; first += kBlockElements, row += kQ4BlockBytes) {
    const V scale = block_scale(row);
    const auto* nibbles = reinterpret_cast<const uint8_t*>(row + 2);
    const auto store = [&](auto quants, int32_t at) HWY_ATTR {
      hn::StoreU(hn::Mul(scale, hn::ConvertTo(f32, hn::Sub(quants, middle))), f32, out + at);
    };
    for (int32_t i = 0; i < kHalf; i += kWidth) {
      const auto pairs = hn::PromoteTo(i32, hn::LoadU(u8, nibbles + i));
      store(hn::And(pairs, low_bits), first + i);
      store(hn::ShiftRight<4>(pairs), first + kHalf + i);
    }
  }
}

/// The rows of a head lie apart from each other, where the processor does not look ahead by itself.
constexpr int32_t kRowsAhead = 6;

HWY_INLINE void prefetch_row(const std::byte* row, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 64) hwy::Prefetch(row + at);
}

}  // namespace

void read_rows(const vase_rows& rows, int32_t head, const int32_t* cells, DenseRows out) {
  const size_t bytes = row_bytes(rows.type, rows.dim);
  for (int32_t i = 0; i < out.count; ++i) {
    if (i + kRowsAhead < out.count) prefetch_row(row_at(rows, cells[i + kRowsAhead], head), bytes);
    const std::byte* row = row_at(rows, cells[i], head);
    float* to = out.row(i);
    switch (rows.type) {
      case VASE_F32:
        std::memcpy(to, row, static_cast<size_t>(rows.dim) * sizeof(float));
        break;
      case VASE_F16:
        read_f16(row, rows.dim, to);
        break;
      case VASE_BF16:
        read_bf16(row, rows.dim, to);
        break;
      case VASE_Q8_0:
        read_q8_0(row, rows.dim, to);
        break;
      case VASE_Q4_0:
        read_q4_0(row, rows.dim, to);
        break;
    }
    std::fill(to + rows.dim, to + out.stride, 0.0f);
  }
}

// ---- RoPE ---------------------------------------------------------------------------------------

namespace {

/// sine_cosine of sine.hpp, lane by lane.
HWY_INLINE void sine_cosine(V turns, V& sine, V& cosine) {
  const V half_turns = hn::Round(hn::Add(turns, turns));
  const V sign =
      hn::MulAdd(hn::Mul(hn::Set(f32, -2.0f), half_turns), half_turns, hn::Set(f32, 1.0f));
  const V x = hn::Mul(hn::MulAdd(half_turns, hn::Set(f32, -0.5f), turns), hn::Set(f32, kRadians));
  const V square = hn::Mul(x, x);
  sine = hn::Set(f32, kSineSeries[0]);
  cosine = hn::Set(f32, kCosineSeries[0]);
  for (int k = 1; k < kSineTerms; ++k) {
    sine = hn::MulAdd(sine, square, hn::Set(f32, kSineSeries[k]));
    cosine = hn::MulAdd(cosine, square, hn::Set(f32, kCosineSeries[k]));
  }
  sine = hn::Mul(sign, hn::Mul(sine, x));
  cosine = hn::Mul(sign, cosine);
}

/// Turns kWidth pairs of elements back.
HWY_INLINE void turn_back(V& a, V& b, const uint32_t* steps, int32_t position) {
  const hn::Rebind<uint32_t, F32> u32;
  const hn::Rebind<int32_t, F32> i32;
  const auto phase = hn::Mul(hn::LoadU(u32, steps), hn::Set(u32, static_cast<uint32_t>(position)));
  const V turns = hn::Mul(hn::ConvertTo(f32, hn::BitCast(i32, phase)), hn::Set(f32, 0x1p-32f));
  V sine, cosine;
  sine_cosine(turns, sine, cosine);
  const V upright = hn::MulAdd(a, cosine, hn::Mul(b, sine));
  b = hn::MulSub(b, cosine, hn::Mul(a, sine));
  a = upright;
}

}  // namespace

void turn_back(DenseRows rows, const RopeSteps& rope, const int32_t* positions) {
  const int32_t whole = rope.pairs / kWidth * kWidth;
  for (int32_t i = 0; i < rows.count; ++i) {
    float* row = rows.row(i);
    V a, b;
    for (int32_t p = 0; p < whole; p += kWidth) {
      if (rope.stride == 1) {
        hn::LoadInterleaved2(f32, row + 2 * p, a, b);
        turn_back(a, b, rope.steps + p, positions[i]);
        hn::StoreInterleaved2(a, b, f32, row + 2 * p);
      } else {
        a = hn::LoadU(f32, row + p);
        b = hn::LoadU(f32, row + rope.stride + p);
        turn_back(a, b, rope.steps + p, positions[i]);
        hn::StoreU(a, f32, row + p);
        hn::StoreU(b, f32, row + rope.stride + p);
      }
    }
    const RopeSteps rest{rope.steps + whole, rope.pairs - whole, rope.stride};
    const DenseRows one{row + (rope.stride == 1 ? 2 * whole : whole), 1, rows.stride};
    if (rest.pairs > 0) reference_kernels().turn_back(one, rest, positions + i);
  }
}

void pair_lengths(DenseRows rows, int32_t pairs, int32_t stride, DenseRows out) {
  const int32_t whole = pairs / kWidth * kWidth;
  for (int32_t i = 0; i < rows.count; ++i) {
    float* row = rows.row(i);
    V a, b;
    for (int32_t p = 0; p < whole; p += kWidth) {
      if (stride == 1) {
        hn::LoadInterleaved2(f32, row + 2 * p, a, b);
      } else {
        a = hn::LoadU(f32, row + p);
        b = hn::LoadU(f32, row + stride + p);
      }
      hn::StoreU(hn::Sqrt(hn::MulAdd(a, a, hn::Mul(b, b))), f32, out.row(i) + p);
    }
    const DenseRows rest{row + (stride == 1 ? 2 * whole : whole), 1, rows.stride};
    if (whole < pairs)
      reference_kernels().pair_lengths(rest, pairs - whole, stride,
                                       {out.row(i) + whole, 1, out.stride});
  }
}

void centre_rows(DenseRows rows, const float* centre) {
  for (int32_t i = 0; i < rows.count; ++i)
    for (int32_t d = 0; d < rows.stride; d += kWidth) {
      float* at = rows.row(i) + d;
      hn::StoreU(hn::Sub(hn::LoadU(f32, at), hn::LoadU(f32, centre + d)), f32, at);
    }
}

}  // namespace vase::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
