#include "engine/stop_strings.hpp"

#include <gtest/gtest.h>

namespace vase::engine {
namespace {

TEST(StopStrings, WithoutAnyPassesAllThrough) {
  StopStrings stop;
  EXPECT_EQ(stop.push("any text"), "any text");
  EXPECT_FALSE(stop.matched());
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopStrings, EndsTheTextBeforeTheString) {
  StopStrings stop({"END"});
  EXPECT_EQ(stop.push("one END two"), "one ");
  EXPECT_TRUE(stop.matched());
  EXPECT_EQ(stop.push("three"), "");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopStrings, HoldsBackWhatMayBecomeOne) {
  StopStrings stop({"</answer>"});
  EXPECT_EQ(stop.push("42</"), "42");
  EXPECT_EQ(stop.push("ans"), "");
  EXPECT_EQ(stop.push("ume>"), "</ansume>");
  EXPECT_EQ(stop.push("</answer"), "");
  EXPECT_EQ(stop.push("> more"), "");
  EXPECT_TRUE(stop.matched());
}

TEST(StopStrings, GivesBackWhatWasHeldAtTheEnd) {
  StopStrings stop({"</answer>"});
  EXPECT_EQ(stop.push("42</ans"), "42");
  EXPECT_EQ(stop.finish(), "</ans");
}

TEST(StopStrings, TakesTheFirstOfSeveral) {
  StopStrings stop({"three", "two", ""});
  EXPECT_EQ(stop.push("one two three"), "one ");
}

TEST(StopStrings, FindsOneThatOverlapsItself) {
  StopStrings stop({"aab"});
  EXPECT_EQ(stop.push("aa"), "");
  EXPECT_EQ(stop.push("a"), "a");
  EXPECT_EQ(stop.push("b"), "");
  EXPECT_TRUE(stop.matched());
}

}  // namespace
}  // namespace vase::engine
