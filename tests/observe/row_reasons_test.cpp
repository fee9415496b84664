#include "observe/row_reasons.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vase::observe {
namespace {

using testing::ElementsAre;

vase_params params(const char *policy) {
  vase_params params = vase_params_default(vase_policy_find(policy), 8);
  params.sinks = 1;
  params.recency = 2;
  return params;
}

// Nine rows, one of them new since the last eviction, in no order.
HeadRows rows() {
  return {.positions = {50, 0, 9, 20, 30, 40, 60, 61, 62},
          .value_ranges = {1, 9, 5, 2, 7, 3, 8, 8, 8},
          .n_protected = 2,
          .pinned = {}};
}

std::vector<std::string> reasons(const HeadRows &rows, const char *policy, std::int64_t evictions) {
  std::vector<std::string> names;
  for (const ExplainedRow &row : explain_rows(rows, params(policy), evictions)) {
    names.emplace_back(to_string(row.reason));
  }
  return names;
}

TEST(ExplainRows, SortsByPosition) {
  const auto explained = explain_rows(rows(), params("vase"), 1);
  EXPECT_EQ(explained[1].position, 9);
  EXPECT_EQ(explained[1].value_range, 5);
}

TEST(ExplainRows, TellsWhyEachRowIsThere) {
  EXPECT_THAT(reasons(rows(), "vase", 1),
              ElementsAre("sink", "protected", "drawn", "protected", "drawn", "drawn", "recent",
                          "recent", "recent"));
}

TEST(ExplainRows, KnowsWhichPolicyProtects) {
  EXPECT_THAT(reasons(rows(), "snapkv", 1), ElementsAre("sink", "drawn", "drawn", "drawn", "drawn",
                                                        "drawn", "recent", "recent", "recent"));
}

TEST(ExplainRows, NothingIsDecidedBeforeTheFirstEviction) {
  EXPECT_THAT(reasons(rows(), "vase", 0),
              ElementsAre("sink", "recent", "recent", "recent", "recent", "recent", "recent",
                          "recent", "recent"));
}

TEST(ExplainRows, PinnedRowsAreNotProtectedTwice) {
  HeadRows pinned = rows();
  pinned.pinned = {.first_end = 0, .begin = 5, .end = 25};
  EXPECT_THAT(reasons(pinned, "vase", 1),
              ElementsAre("sink", "pinned", "pinned", "protected", "protected", "drawn", "recent",
                          "recent", "recent"));
}

TEST(ExplainRows, AnEmptyHeadHasNothingToExplain) {
  EXPECT_TRUE(explain_rows({}, params("vase"), 0).empty());
}

}  // namespace
}  // namespace vase::observe
