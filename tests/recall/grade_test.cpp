#include "recall/grade.hpp"

#include <gtest/gtest.h>

namespace vase::recall {
namespace {

TEST(Grade, WantsEveryValueAndNothingWrong) {
  const Item item{.expected = {"48213", "77120"}, .wrong = {"10001"}};
  EXPECT_TRUE(grade(item, "They are 77120 and 48213.").right);
  EXPECT_EQ(grade(item, "They are 77120 and 48213.").fraction, 1);
  EXPECT_FALSE(grade(item, "It is 77120.").right);
  EXPECT_EQ(grade(item, "It is 77120.").fraction, 0.5);
  EXPECT_FALSE(grade(item, "77120, 48213, 10001").right) << "who names everything knows nothing";
  EXPECT_EQ(grade(item, "").fraction, 0);
}

TEST(Grade, NumbersStandAlone) {
  const Item item{.expected = {"48213"}};
  EXPECT_TRUE(grade(item, "**48,213**").right);
  EXPECT_TRUE(grade(item, "48213,77120").right);
  EXPECT_FALSE(grade(item, "148213").right);
  EXPECT_FALSE(grade(item, "48213x").right);
  EXPECT_FALSE(grade(item, "48 213").right);
}

TEST(Grade, WordsInAnyCase) {
  const Item item{.expected = {"KARO", "plums"}};
  EXPECT_TRUE(grade(item, "karo; Plums").right);
  EXPECT_FALSE(grade(item, "KAROX, plums").right);
  EXPECT_FALSE(grade(item, "KARO, \u00e9plums").right) << "in the middle of a foreign word";
}

}  // namespace
}  // namespace vase::recall
