// Models in which some layers look back over a window only.
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <span>

#include "contexts.hpp"
#include "llama/plan/memory_plan.hpp"

namespace vase::tests {
namespace {

constexpr size_t kRowBytes = size_t{2} * kHeads * kHeadDim * sizeof(uint16_t);  // key and value

// gemma3: five layers with a window, then one with all tokens.
BoundedOptions windowed_options(const std::string &policy) {
  BoundedOptions options = options_for(policy, 900);
  options.context.n_ubatch = 128;
  return options;
}

TEST(SlidingWindow, TheFullCacheHoldsNoMoreThanTheWindow) {
  const TemporaryFolder folder;
  write_tiny_model("gemma3", folder / "model.gguf");
  const Model model = load_model(folder / "model.gguf");
  const BoundedOptions options = windowed_options("full");
  const BoundedContext context(model.get(), options);
  // The window and a ubatch, padded as llama.cpp pads.
  constexpr size_t kWindowCells = 256;
  static_assert(kSlidingWindow + 128 <= kWindowCells);
  constexpr double expected = (kTrainingLength + 5 * kWindowCells) * kRowBytes;
  // llama.cpp says hundredths of a MiB, once for each of the two caches.
  constexpr double kRounding = 0.02 * (1 << 20);
  EXPECT_NEAR(static_cast<double>(context.cache_bytes()), expected, kRounding);

  const MemoryPlanner planner(folder / "model.gguf");
  EXPECT_NEAR(static_cast<double>(planner.plan(options).kv), expected, kRounding);
  EXPECT_EQ(planner.plan(options).kv_per_token, static_cast<double>(kRowBytes))
      << "only the layer without a window grows";
  EXPECT_NEAR(static_cast<double>(planner.plan(options).kv_windows), 5.0 * kWindowCells * kRowBytes,
              kRounding);
}

struct FreeContext {
  void operator()(llama_context *context) const { llama_free(context); }
};

TEST(SlidingWindow, TheFullCachePredictsWhatACacheOfAllTokensDoes) {
  const Model model = tiny_model("gemma3");
  const std::vector<llama_token> text = random_tokens(1500);
  BoundedContext context(model.get(), windowed_options("full"));
  context.decode({{.sequence = 0, .tokens = text}});

  llama_context_params params = windowed_options("full").context;
  params.swa_full = true;
  params.n_batch = kTrainingLength;
  const std::unique_ptr<llama_context, FreeContext> all(llama_init_from_model(model.get(), params));
  std::vector<llama_token> tokens = text;
  ASSERT_EQ(llama_decode(all.get(),
                         llama_batch_get_one(tokens.data(), static_cast<int32_t>(tokens.size()))),
            0);
  const float *expected = llama_get_logits_ith(all.get(), -1);
  const std::vector<float> logits = logits_of(context, 0);
  for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], expected[i], 1e-2) << i;
}

// Gives up after a number of questions whether to give up.
struct GiveUp {
  int64_t after;
  int64_t asked = 0;
  static bool ask(void *data) {
    auto *self = static_cast<GiveUp *>(data);
    return self->asked++ >= self->after;
  }
};

class FailedDecode : public testing::TestWithParam<const char *> {};
INSTANTIATE_TEST_SUITE_P(, FailedDecode, testing::Values("full", "vase"));

TEST_P(FailedDecode, LeavesTheWindowAsItWas) {
  const Model model = tiny_model("gemma3");
  const std::vector<llama_token> text = random_tokens(300), more = random_tokens(600, 5),
                                 next = random_tokens(1, 7);
  const auto context_with_text = [&] {
    BoundedContext context(model.get(), windowed_options(GetParam()));
    context.decode({{.sequence = 0, .tokens = text}});
    return context;
  };
  GiveUp count{.after = std::numeric_limits<int64_t>::max()};
  {
    BoundedContext context = context_with_text();
    llama_set_abort_callback(context.get(), GiveUp::ask, &count);
    context.decode({{.sequence = 0, .tokens = more}});
  }
  ASSERT_GT(count.asked, 0);

  BoundedContext failed = context_with_text();
  GiveUp late{.after = count.asked * 9 / 10};
  llama_set_abort_callback(failed.get(), GiveUp::ask, &late);
  EXPECT_THROW(failed.decode({{.sequence = 0, .tokens = more}}), Error);
  llama_set_abort_callback(failed.get(), nullptr, nullptr);
  failed.decode({{.sequence = 0, .tokens = next}});

  BoundedContext whole = context_with_text();
  const auto stayed = static_cast<size_t>(failed.statistics(0).tokens - 1) - text.size();
  ASSERT_LT(stayed, more.size());
  if (stayed > 0) whole.decode({{.sequence = 0, .tokens = std::span(more).first(stayed)}});
  whole.decode({{.sequence = 0, .tokens = next}});
  EXPECT_EQ(logits_of(failed, 0), logits_of(whole, 0));
}

}  // namespace
}  // namespace vase::tests
