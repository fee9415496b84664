#include "core/token_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace vase {
namespace {

std::vector<int32_t> order_of(const std::vector<int32_t>& positions, size_t n) {
  std::vector<std::byte> memory(token_order_bytes(static_cast<int32_t>(n)) + Arena::kAlignment);
  Arena arena(memory.data(), memory.size());
  std::vector<int32_t> order(n);
  token_order(positions, order, arena);
  return order;
}

TEST(TokenOrder, RowsAreTheirOwnOrderWithoutPositions) {
  EXPECT_EQ(order_of({}, 4), (std::vector<int32_t>{0, 1, 2, 3}));
}

TEST(TokenOrder, SortsLikeAStableSort) {
  std::mt19937 random(1);
  for (const size_t n : {1u, 2u, 63u, 4160u}) {
    std::vector<int32_t> positions(n), expected(n);
    for (const int32_t top : {3, 5000, std::numeric_limits<int32_t>::max()}) {
      for (int32_t& p : positions) p = std::uniform_int_distribution<int32_t>(-3, top)(random);
      std::iota(expected.begin(), expected.end(), 0);
      std::stable_sort(expected.begin(), expected.end(), [&](int32_t a, int32_t b) {
        return positions[static_cast<size_t>(a)] < positions[static_cast<size_t>(b)];
      });
      ASSERT_EQ(order_of(positions, n), expected) << "n " << n << " top " << top;
    }
  }
}

}  // namespace
}  // namespace vase
