#include "core/philox.hpp"

#include <gtest/gtest.h>

namespace vase {
namespace {

// Known answers of philox4x32-10, from the authors' Random123 distribution (kat_vectors).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox(0, {0, 0, 0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~uint64_t{0}, {~0u, ~0u, ~0u, ~0u}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822u, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformStaysInsideTheOpenInterval) {
  EXPECT_GT(unit_open(0), 0.0);
  EXPECT_LT(unit_open(~0u), 1.0);
}

TEST(Philox, StreamsDiffer) {
  using Purpose = PhiloxStream::Purpose;
  const PhiloxStream stream(7, Purpose::kDraw, 1, 2, 3, 4);
  const PhiloxStream others[] = {
      {8, Purpose::kDraw, 1, 2, 3, 4}, {7, Purpose::kProjection, 1, 2, 3, 4},
      {7, Purpose::kDraw, 2, 2, 3, 4}, {7, Purpose::kDraw, 1, 3, 3, 4},
      {7, Purpose::kDraw, 1, 2, 4, 4}, {7, Purpose::kDraw, 1, 2, 3, 5}};
  EXPECT_EQ(stream.at(9), PhiloxStream(7, Purpose::kDraw, 1, 2, 3, 4).at(9));
  EXPECT_NE(stream.at(9), stream.at(10));
  for (const PhiloxStream& other : others) EXPECT_NE(stream.at(9), other.at(9));
}

}  // namespace
}  // namespace vase
