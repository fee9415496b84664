// Models that look positions up in a table: ggml aborts behind its end, so nobody may come there.
#include "llama/graph/position_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "contexts.hpp"

namespace vase::tests {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(PositionTable, IsSeenOnTheGraph) {
  EXPECT_EQ(position_table_rows(tiny_model("gpt2").get()), kPositionTable);
  for (const char *architecture : {"llama", "mpt-no-alibi", "mamba"})
    EXPECT_EQ(position_table_rows(tiny_model(architecture).get()), 0) << architecture;
}

class TextOf : public testing::TestWithParam<const char *> {};
INSTANTIATE_TEST_SUITE_P(, TextOf, testing::Values("vase-plus", "full"));

TEST_P(TextOf, EndsWithTheTable) {
  const Model model = tiny_model("gpt2");
  BoundedOptions options = options_for(GetParam(), 96);
  options.context.n_ctx = 2 * kPositionTable;
  BoundedContext context(model.get(), options);
  EXPECT_EQ(context.longest_text(), kPositionTable);
  context.decode({{.sequence = 0, .tokens = random_tokens(kPositionTable - 2)}});
  EXPECT_EQ(context.room(0), 2);
  EXPECT_EQ(context.prompt_room(0), 2);
  const std::vector<llama_token> tokens = random_tokens(3, 5);
  EXPECT_THAT([&] { context.decode({{.sequence = 0, .tokens = tokens}}); },
              ThrowsMessage<Error>(HasSubstr("has learned 512 positions")));
  context.decode({{.sequence = 0, .tokens = std::span(tokens).first(2)}});
  EXPECT_EQ(context.room(0), 0);
  context.clear(0);
  EXPECT_GT(context.room(0), 3);
}

TEST(TextsOf, OtherModelsHaveNoSuchEnd) {
  const Model model = tiny_model("llama");
  for (const char *policy : {"vase-plus", "full"}) {
    BoundedOptions options = options_for(policy, 96);
    options.context.n_ctx = 2 * kTrainingLength;
    EXPECT_EQ(BoundedContext(model.get(), options).longest_text(),
              std::numeric_limits<int32_t>::max());
  }
}

}  // namespace
}  // namespace vase::tests
