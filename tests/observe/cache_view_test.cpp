#include "observe/cache_view.hpp"

#include <gtest/gtest.h>

#include "observe/prometheus.hpp"

namespace vase::observe {
namespace {

TEST(CacheView, RowsAreInOrderOfTheirPositionsEachWithAReason) {
  HeadView view;
  view.slot = 1;
  view.rows.positions = {9, 0, 4};
  view.rows.value_ranges = {1.0f, 2.0f, 3.0f};
  view.statistics = {.tokens = 10, .rows = 3, .evictions = 1};
  view.policy = vase_params_default(vase_policy_find("vase-plus"), 3);
  view.policy.recency = 1;
  view.policy.sinks = 1;
  const auto json = as_json(view);
  EXPECT_EQ(json["positions"], (std::vector<int>{0, 4, 9}));
  EXPECT_EQ(json["ranges"], (std::vector<float>{2, 3, 1}));
  EXPECT_EQ(json["reasons"], (std::vector<std::string>{"sink", "drawn", "recent"}));
  EXPECT_EQ(json["slot"], 1);
  EXPECT_EQ(json["tokens"], 10);
}

TEST(CacheView, ASlotIsBusyUnlessItsStateIsIdle) {
  EXPECT_EQ(as_json(SlotStatus{}, 0, 8)["busy"], false);
  const auto json = as_json(SlotStatus{.state = "prompt", .rows = 5}, 2, 8);
  EXPECT_EQ(json["busy"], true);
  EXPECT_EQ(json["id"], 2);
  EXPECT_EQ(json["rows"], 5);
  EXPECT_EQ(json["capacity"], 8);
}

TEST(Prometheus, AMetricHasTwoLinesBeforeItsValue) {
  EXPECT_EQ(metric("x_total", "counter", "Things.", 3),
            "# HELP x_total Things.\n# TYPE x_total counter\nx_total 3\n");
}

}  // namespace
}  // namespace vase::observe
