#include "llama/keeper/sequence_rows.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vase {
namespace {

using testing::ElementsAre;

std::vector<int32_t> positions_of(const SequenceRows &rows, int32_t head) {
  std::vector<int32_t> positions(static_cast<size_t>(rows.rows()));
  rows.positions(head, positions);
  return positions;
}

TEST(SequenceRows, StartsWithEachTokenInItsCell) {
  SequenceRows rows(2, 3, 8);
  for (const int32_t cell : {4, 5, 0}) rows.append(cell);
  EXPECT_THAT(rows.cells(), ElementsAre(4, 5, 0));
  EXPECT_THAT(positions_of(rows, 0), ElementsAre(0, 1, 2));
  EXPECT_EQ(rows.oldest_label(), 0);
}

TEST(SequenceRows, EvictionFreesTheOldestLabelsAndKeepsEachHeadsOwnRows) {
  SequenceRows rows(2, 3, 8);
  for (int32_t cell = 0; cell < 5; ++cell) rows.append(cell);
  // Head 0 moved token 0 into the place of token 3, head 1 moved nothing.
  rows.set_survivors(0, std::vector<int32_t>{0, 1, 2, 0, 4}, 2);
  rows.set_survivors(1, std::vector<int32_t>{0, 1, 2, 3, 4}, 2);
  rows.drop_oldest(2);
  rows.append(0);
  EXPECT_THAT(rows.cells(), ElementsAre(2, 3, 4, 0));
  EXPECT_THAT(positions_of(rows, 0), ElementsAre(2, 0, 4, 5));
  EXPECT_THAT(positions_of(rows, 1), ElementsAre(2, 3, 4, 5));
  EXPECT_EQ(rows.tokens(), 6);
  EXPECT_EQ(rows.oldest_label(), 2);
}

TEST(SequenceRows, ClearForgetsAll) {
  SequenceRows rows(1, 3, 8);
  for (int32_t cell = 0; cell < 5; ++cell) rows.append(cell);
  rows.set_survivors(0, std::vector<int32_t>{0, 1, 2, 0, 4}, 2);
  rows.drop_oldest(2);
  rows.clear();
  rows.append(7);
  EXPECT_THAT(positions_of(rows, 0), ElementsAre(0));
  EXPECT_EQ(rows.tokens(), 1);
}

}  // namespace
}  // namespace vase
