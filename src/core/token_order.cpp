#include "core/token_order.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>

namespace vase {
namespace {

constexpr uint32_t kDigitBits = 11, kDigits = 1u << kDigitBits;

/// Positions are signed; flipping the sign bit makes them ordered as unsigned numbers.
uint32_t sort_key(int32_t position) { return static_cast<uint32_t>(position) ^ 0x80000000u; }

/// One stable counting pass of a radix sort.
void sort_by_digit(std::span<const int32_t> positions, std::span<const int32_t> from,
                   std::span<int32_t> to, uint32_t shift) {
  std::array<uint32_t, kDigits> start{};
  const auto digit = [&](int32_t row) {
    return sort_key(positions[static_cast<size_t>(row)]) >> shift & (kDigits - 1);
  };
  for (int32_t row : from) ++start[digit(row)];
  std::exclusive_scan(start.begin(), start.end(), start.begin(), 0u);
  for (int32_t row : from) to[start[digit(row)]++] = row;
}

}  // namespace

size_t token_order_bytes(int32_t n) { return Arena::bytes_of<int32_t>(static_cast<size_t>(n)); }

void token_order(std::span<const int32_t> positions, std::span<int32_t> order, Arena& arena) {
  const std::span<int32_t> other = arena.take<int32_t>(order.size());
  std::iota(order.begin(), order.end(), 0);
  if (positions.empty() || std::is_sorted(positions.begin(), positions.end())) return;
  sort_by_digit(positions, order, other, 0);
  sort_by_digit(positions, other, order, kDigitBits);
  sort_by_digit(positions, order, other, 2 * kDigitBits);
  std::copy(other.begin(), other.end(), order.begin());
}

}  // namespace vase
