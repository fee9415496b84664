#include "core/rows.hpp"

#include <cmath>
#include <cstring>

namespace vase {
namespace {

uint16_t read_u16(const std::byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);  // rows need not be aligned
  return bits;
}

void read_q8_0(const std::byte* row, int32_t dim, float* out) {
  for (int32_t first = 0; first < dim; first += kBlockElements, row += kQ8BlockBytes) {
    const float scale = f16_to_f32(read_u16(row));
    const auto* quants = reinterpret_cast<const int8_t*>(row + 2);
    for (int32_t i = 0; i < kBlockElements; ++i)
      out[first + i] = scale * static_cast<float>(quants[i]);
  }
}

void read_q4_0(const std::byte* row, int32_t dim, float* out) {
  constexpr int32_t kHalf = kBlockElements / 2;
  for (int32_t first = 0; first < dim; first += kBlockElements, row += kQ4BlockBytes) {
    const float scale = f16_to_f32(read_u16(row));
    for (int32_t i = 0; i < kHalf; ++i) {
      const auto pair = std::to_integer<int32_t>(row[2 + i]);
      out[first + i] = scale * static_cast<float>((pair & 15) - 8);
      out[first + kHalf + i] = scale * static_cast<float>((pair >> 4) - 8);
    }
  }
}

}  // namespace

size_t row_bytes(vase_type type, int32_t dim) {
  const auto n = static_cast<size_t>(dim);
  switch (type) {
    case VASE_F32:
      return n * 4;
    case VASE_F16:
    case VASE_BF16:
      return n * 2;
    case VASE_Q8_0:
      return n / kBlockElements * kQ8BlockBytes;
    case VASE_Q4_0:
      return n / kBlockElements * kQ4BlockBytes;
  }
  return 0;
}

void read_row(const std::byte* row, vase_type type, int32_t dim, float* out) {
  switch (type) {
    case VASE_F32:
      std::memcpy(out, row, static_cast<size_t>(dim) * sizeof(float));
      return;
    case VASE_F16:
      for (int32_t d = 0; d < dim; ++d) out[d] = f16_to_f32(read_u16(row + 2 * d));
      return;
    case VASE_BF16:
      for (int32_t d = 0; d < dim; ++d) out[d] = bf16_to_f32(read_u16(row + 2 * d));
      return;
    case VASE_Q8_0:
      read_q8_0(row, dim, out);
      return;
    case VASE_Q4_0:
      read_q4_0(row, dim, out);
      return;
  }
}

void rotate_row(float* row, int32_t dim, int32_t block) {
  const float norm = 1.0f / std::sqrt(static_cast<float>(block));
  for (float* first = row; first < row + dim; first += block) {
    for (int32_t half = 1; half < block; half *= 2)
      for (int32_t i = 0; i < block; i += 2 * half)
        for (int32_t j = i; j < i + half; ++j) {
          const float a = first[j], b = first[j + half];
          first[j] = a + b;
          first[j + half] = a - b;
        }
    for (int32_t i = 0; i < block; ++i) first[i] *= norm;
  }
}

}  // namespace vase
