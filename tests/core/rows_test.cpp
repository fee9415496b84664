#include "core/rows.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace vase {
namespace {

/// The value of a half by its definition.
double half_by_definition(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

TEST(Rows, EveryFiniteHalfIsExact) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits >> 10 & 31) == 31) continue;
    const auto half = static_cast<uint16_t>(bits);
    ASSERT_EQ(static_cast<double>(f16_to_f32(half)), half_by_definition(half)) << "bits " << bits;
  }
}

TEST(Rows, HalfInfinityAndNan) {
  EXPECT_EQ(f16_to_f32(0x7c00), INFINITY);
  EXPECT_EQ(f16_to_f32(0xfc00), -INFINITY);
  EXPECT_TRUE(std::isnan(f16_to_f32(0x7e00)));
}

TEST(Rows, Bf16IsTheUpperHalfOfAFloat) {
  EXPECT_EQ(bf16_to_f32(0x3f80), 1.0f);
  EXPECT_EQ(bf16_to_f32(0xc040), -3.0f);
}

TEST(Rows, BytesOfARow) {
  EXPECT_EQ(row_bytes(VASE_F32, 64), 256u);
  EXPECT_EQ(row_bytes(VASE_F16, 64), 128u);
  EXPECT_EQ(row_bytes(VASE_BF16, 64), 128u);
  EXPECT_EQ(row_bytes(VASE_Q8_0, 64), 68u);
  EXPECT_EQ(row_bytes(VASE_Q4_0, 64), 36u);
}

TEST(Rows, Q8BlocksCarryTheirOwnScale) {
  std::vector<std::byte> row(row_bytes(VASE_Q8_0, 64));
  const uint16_t scales[] = {0x3800, 0x4000};  // 0.5 and 2
  for (size_t block = 0; block < 2; ++block) {
    std::memcpy(&row[block * 34], &scales[block], 2);
    for (size_t i = 0; i < 32; ++i)
      row[block * 34 + 2 + i] = static_cast<std::byte>(static_cast<int>(i) - 16);
  }
  float out[64];
  read_row(row.data(), VASE_Q8_0, 64, out);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(out[i], 0.5f * static_cast<float>(i - 16));
    EXPECT_EQ(out[32 + i], 2.0f * static_cast<float>(i - 16));
  }
}

TEST(Rows, Q4BlocksHoldTheirFirstHalfInTheLowNibbles) {
  std::vector<std::byte> row(row_bytes(VASE_Q4_0, 64));
  const uint16_t scales[] = {0x3800, 0xc000};  // 0.5 and -2
  for (size_t block = 0; block < 2; ++block) {
    std::memcpy(&row[block * 18], &scales[block], 2);
    for (size_t i = 0; i < 16; ++i)
      row[block * 18 + 2 + i] = static_cast<std::byte>(i | (15 - i) << 4);
  }
  float out[64];
  read_row(row.data(), VASE_Q4_0, 64, out);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(out[i], 0.5f * static_cast<float>(i - 8));
    EXPECT_EQ(out[16 + i], 0.5f * static_cast<float>(7 - i));
    EXPECT_EQ(out[32 + i], -2.0f * static_cast<float>(i - 8));
    EXPECT_EQ(out[48 + i], -2.0f * static_cast<float>(7 - i));
  }
}

TEST(Rows, RotationIsItsOwnInverse) {
  std::vector<float> row(128), rotated;
  for (size_t i = 0; i < row.size(); ++i) row[i] = std::sin(static_cast<float>(i * i));
  rotated = row;
  rotate_row(rotated.data(), 128, 64);
  EXPECT_GT(std::abs(rotated[3] - row[3]), 1e-3f);
  rotate_row(rotated.data(), 128, 64);
  for (size_t i = 0; i < row.size(); ++i) EXPECT_NEAR(rotated[i], row[i], 1e-6f);
}

TEST(Rows, RotationIsTheHadamardMatrixOfEachBlock) {
  float row[8] = {0, 0, 0, 1, 0, 0, 0, 0};
  rotate_row(row, 8, 4);  // column 3 of H4: signs (-1)^popcount(i & 3)
  const float expected[8] = {0.5f, -0.5f, -0.5f, 0.5f, 0, 0, 0, 0};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(row[i], expected[i]);
}

}  // namespace
}  // namespace vase
