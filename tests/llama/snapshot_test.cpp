// A sequence put aside as bytes and taken back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "contexts.hpp"

namespace vase::tests {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

BoundedOptions options_with(const char *policy, int32_t budget = 96) {
  BoundedOptions options = options_for(policy, budget);
  options.n_sequences = 3;
  return options;
}

struct Case {
  const char *architecture, *policy;
  int32_t budget;
};

// In the place it came from, in another sequence whose cells are partly used, and in another
// context; evicted before and not; with queries and sliding windows.
TEST(Snapshot, GoesOnAsTheOriginal) {
  for (const Case &c :
       {Case{"llama", "vase-plus", 96}, Case{"llama", "vase", 96}, Case{"llama", "h2o", 96},
        Case{"qwen3", "rkv", 96}, Case{"gemma3", "vase", 256}, Case{"lfm2", "vase-plus", 96}}) {
    SCOPED_TRACE(std::string(c.architecture) + " " + c.policy);
    const Model model = tiny_model(c.architecture);
    for (const int32_t length : {40, c.budget + 2 * 32, c.budget + 150}) {
      SCOPED_TRACE(length);
      BoundedContext context(model.get(), options_with(c.policy, c.budget));
      BoundedContext other(model.get(), options_with(c.policy, c.budget));
      const std::vector<llama_token> next = random_tokens(100, 5);
      feed_singly(context, 0, random_tokens(static_cast<size_t>(length)));
      const std::vector<std::byte> saved = context.save(0);
      const auto kept_then = kept(context, 0);
      feed_singly(context, 0, next);
      const std::vector<float> a = logits_of(context, 0);

      context.decode({{.sequence = 2, .tokens = random_tokens(50, 9)}});
      context.restore(2, saved);
      other.decode({{.sequence = 0, .tokens = random_tokens(300, 9)}});
      other.restore(0, saved);
      EXPECT_EQ(kept(context, 2), kept_then);
      EXPECT_EQ(kept(other, 0), kept_then);
      context.set_draw_stream(2, 0);
      feed_singly(context, 2, next);
      feed_singly(other, 0, next);
      EXPECT_EQ(kept(context, 2), kept(context, 0));
      EXPECT_EQ(kept(other, 0), kept(context, 0));
      EXPECT_EQ(other.statistics(0).evictions, context.statistics(0).evictions);
      const std::vector<float> b = logits_of(other, 0);
      for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 2e-3f) << "token " << i;

      context.restore(0, saved);
      EXPECT_EQ(kept(context, 0), kept_then);
      EXPECT_EQ(context.save(0).size(), saved.size());
    }
  }
}

// Of a cache that keeps all, too: it is as large as its text, and comes back to the bit.
TEST(Snapshot, OfAFullCacheGoesOnAsTheOriginal) {
  for (const char *architecture : {"llama", "gemma3", "lfm2"}) {
    SCOPED_TRACE(architecture);
    const Model model = tiny_model(architecture);
    BoundedOptions options = options_with("full");
    options.context.n_ctx = 512;
    BoundedContext context(model.get(), options), other(model.get(), options);
    const std::vector<llama_token> next = random_tokens(20, 5);
    feed_singly(context, 0, random_tokens(30));
    const size_t small = context.save(0).size();
    feed_singly(context, 0, random_tokens(300, 3));
    const std::vector<std::byte> saved = context.save(0);
    EXPECT_GT(saved.size(), 2 * small);
    feed_singly(context, 0, next);

    feed_singly(other, 1, random_tokens(50, 9));
    other.restore(1, saved);
    EXPECT_EQ(other.statistics(1).tokens, 330);
    feed_singly(other, 1, next);
    EXPECT_EQ(logits_of(other, 1), logits_of(context, 0));

    options.context.n_ctx = 256;
    BoundedContext shorter(model.get(), options);
    EXPECT_THAT([&] { shorter.restore(0, saved); },
                ThrowsMessage<Error>(HasSubstr("does not fit into 256 cells")));
  }
}

TEST(Snapshot, OfNothingIsNothing) {
  const Model model = tiny_model("llama");
  BoundedContext context(model.get(), options_with("vase"));
  const std::vector<std::byte> empty = context.save(1);
  feed_singly(context, 0, random_tokens(20));
  context.restore(0, empty);
  EXPECT_EQ(context.statistics(0).tokens, 0);
}

TEST(Snapshot, RefusesWhatIsDamagedOrForeign) {
  const Model model = tiny_model("llama"), foreign = tiny_model("qwen3");
  BoundedContext context(model.get(), options_with("vase"));
  feed_singly(context, 0, random_tokens(150));
  const std::vector<std::byte> saved = context.save(0);
  const auto kept_then = kept(context, 0);
  const auto refuses = [&](BoundedContext &into, std::vector<std::byte> bytes, const char *why) {
    EXPECT_THAT([&] { into.restore(0, bytes); }, ThrowsMessage<Error>(HasSubstr(why)));
  };
  std::vector<std::byte> bytes = saved;
  bytes[bytes.size() / 2] ^= std::byte{4};
  refuses(context, bytes, "damaged");
  bytes = saved;
  bytes.pop_back();
  refuses(context, bytes, "cut off");
  refuses(context, {saved.begin(), saved.begin() + 20}, "not a saved sequence");
  bytes = saved;
  bytes[8] = std::byte{77};
  refuses(context, bytes, "version 77");
  EXPECT_EQ(kept(context, 0), kept_then);

  BoundedContext small(model.get(), options_with("vase", 64));
  refuses(small, saved, "does not fit");
  BoundedContext without_queries(model.get(), options_with("vase-plus"));
  refuses(context, without_queries.save(0), "another policy");
  EXPECT_EQ(context.statistics(0).tokens, 0);
  BoundedContext full(model.get(), options_with("full"));
  feed_singly(full, 0, random_tokens(20));
  refuses(full, saved, "evicts, and this one does not");
  refuses(context, full.save(0), "does not evict, and this one does");
  EXPECT_THROW(context.save(3), Error);
}

}  // namespace
}  // namespace vase::tests
