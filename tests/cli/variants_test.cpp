// What is behind a policy's name on the command line.
#include "cli/variants.hpp"

#include <gtest/gtest.h>

namespace vase::cli {
namespace {

eval::Variant variant(const std::string &text, const PolicyArguments &common = {}) {
  return parse_variants({text}, common, 1).front();
}

TEST(Variants, SuffixesSayWhatIsPinned) {
  EXPECT_EQ(variant("vase").pin_prompt, 0.0f);
  EXPECT_EQ(variant("vase+prompt").pin_prompt, 0.5f);
  EXPECT_FALSE(variant("vase+prompt").pins_first_alone);
  EXPECT_EQ(variant("vase-plus").pin_prompt, 0.5f);
  EXPECT_EQ(variant("vase-plus+noprompt").pin_prompt, 0.0f);
  for (const char *name : {"vase+first", "vase-plus+first"}) {
    EXPECT_EQ(variant(name).pin_prompt, 0.5f) << name;
    EXPECT_TRUE(variant(name).pins_first_alone) << name;
    EXPECT_EQ(variant(name).label, name);
  }
}

TEST(Variants, ASuffixTakesTheShareThatIsCommon) {
  PolicyArguments common;
  common.pin_prompt = 0.25f;
  EXPECT_EQ(variant("vase+prompt", common).pin_prompt, 0.25f);
  EXPECT_EQ(variant("vase+first", common).pin_prompt, 0.25f);
  EXPECT_EQ(variant("vase+noprompt", common).pin_prompt, 0.0f);
}

TEST(Variants, WhatDoesNotFitIsRefused) {
  EXPECT_THROW(variant("vase+second"), Error);
  EXPECT_THROW(variant("full+first"), Error);
  EXPECT_THROW(variant("oracle+first"), Error);
  EXPECT_THROW(parse_variants({"vase", "vase"}, {}, 1), Error);
}

}  // namespace
}  // namespace vase::cli
