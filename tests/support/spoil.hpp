// Puts what is no number into rows of any type.
#ifndef VASE_TESTS_SUPPORT_SPOIL_HPP
#define VASE_TESTS_SUPPORT_SPOIL_HPP

#include <cstdint>
#include <cstring>

#include "core/rows.hpp"

namespace vase::testing {

enum class Spoilt { kNan, kInfinity };

/// Makes `element` of the row of `cell` and `head` (or the scale of its block) so.
inline void spoil(const vase_rows& rows, int32_t cell, int32_t head, size_t element, Spoilt how) {
  std::byte* row = row_at(rows, cell, head);
  const auto put = [&](auto bits, size_t at) { std::memcpy(row + at, &bits, sizeof bits); };
  const bool nan = how == Spoilt::kNan;
  switch (rows.type) {
    case VASE_F32:
      return put(nan ? 0x7fc00000u : 0xff800000u, 4 * element);
    case VASE_F16:
      return put(static_cast<uint16_t>(nan ? 0x7e00 : 0xfc00), 2 * element);
    case VASE_BF16:
      return put(static_cast<uint16_t>(nan ? 0x7fc0 : 0xff80), 2 * element);
    case VASE_Q8_0:
    case VASE_Q4_0:
      return put(static_cast<uint16_t>(nan ? 0x7e00 : 0x7c00),
                 row_bytes(rows.type, kBlockElements) * (element / kBlockElements));
  }
}

}  // namespace vase::testing

#endif
