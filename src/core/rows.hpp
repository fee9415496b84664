// Strided K and V rows of any type, read as f32.
#ifndef VASE_CORE_ROWS_HPP
#define VASE_CORE_ROWS_HPP

#include <bit>
#include <cstddef>
#include <cstdint>

#include "vase/vase.h"

namespace vase {

/// Elements of a block of VASE_Q8_0 and VASE_Q4_0, and the bytes it takes: one f16 scale, then 32
/// int8 (ggml's block_q8_0) or 16 bytes of nibbles (block_q4_0).
inline constexpr int32_t kBlockElements = 32;
inline constexpr int32_t kQ8BlockBytes = 34;
inline constexpr int32_t kQ4BlockBytes = 18;

/// Whether rows of `type` are made of blocks: quantised, starting at any even address.
constexpr bool has_blocks(vase_type type) { return type == VASE_Q8_0 || type == VASE_Q4_0; }

/// Bytes of one row of `dim` elements.
size_t row_bytes(vase_type type, int32_t dim);

/// Start of the row of `cell` for KV head `head`.
inline std::byte* row_at(const vase_rows& rows, int32_t cell, int32_t head) {
  return static_cast<std::byte*>(rows.data) + cell * rows.row_stride + head * rows.head_stride;
}

/// Exact value of an IEEE half, given its bits.
inline float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u)  // infinity, NaN
    return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  if (magnitude < 0x0400u)  // zero, subnormal: a multiple of 2^-24
    return std::bit_cast<float>(sign |
                                std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-24f));
  return std::bit_cast<float>(sign | ((magnitude << 13) + ((127u - 15u) << 23)));
}

inline float bf16_to_f32(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// Reads one row into out[dim]. Undoes nothing: a rotated row stays rotated.
void read_row(const std::byte* row, vase_type type, int32_t dim, float* out);

/// Multiplies each block of `block` elements (a power of two) by the orthonormal Walsh-Hadamard
/// matrix, in place. The matrix is its own inverse, so this turns a stored rotated row into the
/// true one.
void rotate_row(float* row, int32_t dim, int32_t block);

}  // namespace vase

#endif
