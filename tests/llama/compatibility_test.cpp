// The one gate for what is known of llama.cpp's inside.
#include "llama/graph/compatibility.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "contexts.hpp"

namespace vase::tests {
namespace {

class Variable {
 public:
  explicit Variable(const char *name) : name_(name) { setenv(name, "0", 1); }
  ~Variable() { unsetenv(name_); }

 private:
  const char *name_;
};

TEST(Compatibility, OfTheTestedVersionsIsWhole) {
  for (const char *llama : {"0.5.0", "0.5.0-dev"}) {
    const Compatibility tested = compatibility_of(llama, "0.25.3");
    EXPECT_TRUE(tested.taps && tested.callback_switch);
    EXPECT_EQ(tested.why, "");
  }
}

TEST(Compatibility, OfOtherVersionsTakesNoShortCut) {
  for (const auto &[llama, ggml] :
       {std::pair("0.5.1", "0.25.3"), {"0.5.0", "0.25.4"}, {"0.4.9", "0.9.0"}}) {
    const Compatibility other = compatibility_of(llama, ggml);
    EXPECT_FALSE(other.taps || other.callback_switch);
    EXPECT_NE(other.why.find(llama), std::string::npos);
    EXPECT_NE(other.why.find(ggml), std::string::npos);
  }
}

// The layouts are tried, not looked up.
TEST(Compatibility, FindsTheParametersOfNodes) {
  EXPECT_TRUE(compatibility().rope_layout);
  EXPECT_TRUE(compatibility().attention_layout);
}

TEST(Compatibility, IsSwitchedOffByTheEnvironment) {
  {
    const Variable taps("VASE_TAPS");
    EXPECT_FALSE(compatibility().taps);
    EXPECT_NE(compatibility().why.find("VASE_TAPS=0"), std::string::npos);
  }
  {
    const Variable callback("VASE_CALLBACK_SWITCH");
    EXPECT_FALSE(compatibility().callback_switch);
    EXPECT_NE(compatibility().why.find("VASE_CALLBACK_SWITCH=0"), std::string::npos);
  }
}

// Whatever is off, the same rows are kept and the same logits come out.
TEST(Compatibility, ChangesNothingButTheWay) {
  const Model model = tiny_model("qwen3");
  for (const char *policy : {"vase", "vase-plus"}) {
    const auto run = [&] {
      BoundedContext context(model.get(), options_for(policy, 96));
      feed_singly(context, 0, random_tokens(96 + 3 * 32 + 1));
      EXPECT_EQ(context.statistics(0).evictions, 3);
      return std::pair(kept(context, 0), logits_of(context, 0));
    };
    const auto fast = run();
    for (const char *name : {"VASE_TAPS", "VASE_CALLBACK_SWITCH"}) {
      const Variable off(name);
      EXPECT_EQ(run(), fast) << name;
    }
  }
}

}  // namespace
}  // namespace vase::tests
