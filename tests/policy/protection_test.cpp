// How many rows are protected: as many as asked for, or as many as stand out.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "support/random_layer.hpp"
#include "support/selection.hpp"

namespace vase {
namespace {

using testing::params_for;
using testing::RandomLayer;
using testing::select;

constexpr int32_t kRows = 320, kBudget = 256, kDim = 64;
constexpr int32_t kLeast = kBudget / 32, kSinks = 4, kRecency = 64;

class ProtectionTest : public ::testing::Test {
 protected:
  ProtectionTest() {
    params_.protect = VASE_PROTECT_AUTO;
    for (int32_t token = 0; token < kRows; ++token) tokens_[static_cast<size_t>(token)] = token;
    layer_.cells = nullptr;
    layer_.positions = tokens_.data();
  }

  /// Gives the value of `token` this range.
  void set_range(int32_t token, float range) {
    auto* row = static_cast<float*>(layer_.values.data) + token * kDim;
    std::fill_n(row, kDim, 0.0f);
    row[token % kDim] = range;
  }
  /// Ranges about `centre`, evenly spread over `width`.
  void set_ranges(float centre, float width) {
    std::mt19937 random(3);
    std::uniform_real_distribution<float> uniform(centre - width / 2, centre + width / 2);
    for (int32_t token = 0; token < kRows; ++token) set_range(token, uniform(random));
  }

  int32_t protected_rows(const vase_params& params) {
    std::vector<std::byte> workspace(vase_workspace_size(&params, &layer_));
    int32_t rows = -1;
    EXPECT_EQ(vase_protected(&params, &layer_, 0, 1, &rows, workspace.data(), workspace.size()),
              VASE_OK)
        << vase_last_error();
    return rows;
  }

  RandomLayer random_{{.n_heads = 1, .group = 2, .dim = kDim, .n_rows = kRows}, 5};
  vase_layer layer_ = random_.view();
  std::vector<int32_t> tokens_ = std::vector<int32_t>(kRows);
  vase_params params_ = params_for("vase", kBudget);
};

TEST_F(ProtectionTest, EqualRangesLeaveTheLeast) {
  for (int32_t token = 0; token < kRows; ++token) set_range(token, 2);
  EXPECT_EQ(protected_rows(params_), kLeast - kSinks);
}

TEST_F(ProtectionTest, WideOnesAreFoundAndKept) {
  for (const int32_t planted : {10, 40, 90}) {
    set_ranges(2, 0);  // where all others are alike, only what is wider than they counts
    std::set<int32_t> wide;
    for (int32_t i = 0; i < planted; ++i) wide.insert(8 + 2 * i);
    for (const int32_t token : wide) set_range(token, 9);
    EXPECT_EQ(protected_rows(params_), planted);
    const std::set<int32_t> kept = testing::kept_tokens(select(params_, layer_), layer_, 0);
    for (const int32_t token : wide) EXPECT_TRUE(kept.contains(token)) << token;
  }
}

TEST_F(ProtectionTest, NarrowOnesAreLeftToTheDraw) {
  constexpr int32_t kCandidates = kRows - kRecency, kNarrow = 120;
  set_ranges(9, 0.01f);
  for (int32_t i = 0; i < kNarrow; ++i) set_range(8 + 2 * i, 1);
  EXPECT_LE(protected_rows(params_), kCandidates - kSinks - kNarrow);
  EXPECT_GE(protected_rows(params_), (kCandidates - kSinks - kNarrow) / 2);
}

TEST_F(ProtectionTest, NeverMoreThanThereIsRoomFor) {
  params_.budget = 128;
  set_ranges(2, 1);
  EXPECT_EQ(protected_rows(params_), params_.budget - kRecency - kSinks);
}

TEST_F(ProtectionTest, PinnedRowsAreLeftOut) {
  set_ranges(2, 0);
  for (int32_t i = 0; i < 20; ++i) set_range(10 + i, 9);
  EXPECT_EQ(protected_rows(params_), 20);
  layer_.pinned_begin = 10;
  layer_.pinned_end = 25;
  EXPECT_EQ(protected_rows(params_), 5);
  layer_.pinned_end = kRows;  // nothing is left to protect, and no room
  EXPECT_EQ(protected_rows(params_), 0);
}

TEST_F(ProtectionTest, TheRecencyWindowIsLeftOut) {
  set_ranges(2, 0);
  for (int32_t token = kRows - 64; token < kRows; ++token) set_range(token, 9);
  EXPECT_EQ(protected_rows(params_), kLeast - kSinks);
}

TEST_F(ProtectionTest, AGivenNumberIsTaken) {
  params_.protect = 100;
  EXPECT_EQ(protected_rows(params_), 100 - kSinks);
  params_.protect = 0;
  EXPECT_EQ(protected_rows(params_), 0);
  params_.protect = 2 * kBudget;
  EXPECT_EQ(protected_rows(params_), kBudget - 64 - kSinks);
}

TEST_F(ProtectionTest, TheAblationProtectsAsMany) {
  set_ranges(2, 0);
  for (int32_t i = 0; i < 40; ++i) set_range(8 + 2 * i, 9);
  vase_params params = params_for("attn-random", kBudget);
  params.protect = VASE_PROTECT_AUTO;
  EXPECT_EQ(protected_rows(params), 40);
}

TEST_F(ProtectionTest, OtherPoliciesProtectNone) {
  for (const char* name : {"snapkv", "random", "vase-cur", "full"})
    EXPECT_EQ(protected_rows(params_for(name, kBudget)), 0) << name;
}

TEST_F(ProtectionTest, SaysWhatIsMissing) {
  int32_t rows = 0;
  EXPECT_EQ(vase_protected(&params_, &layer_, 0, 1, nullptr, &rows, 0), VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_protected(&params_, &layer_, 0, 2, &rows, nullptr, 0), VASE_INVALID_ARGUMENT);
  std::byte small[8];
  EXPECT_EQ(vase_protected(&params_, &layer_, 0, 1, &rows, small, 8), VASE_WORKSPACE_TOO_SMALL);
}

}  // namespace
}  // namespace vase
