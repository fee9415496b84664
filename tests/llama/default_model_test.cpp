// The adapter on a real language model, if it has been fetched.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "contexts.hpp"

namespace vase::tests {
namespace {

std::filesystem::path default_model() {
  const auto variable = [](const char *name) {
    const char *value = std::getenv(name);
    return std::filesystem::path(value != nullptr ? value : "");
  };
  std::filesystem::path cache = variable("VASE_CACHE");
  if (cache.empty() && !variable("XDG_CACHE_HOME").empty())
    cache = variable("XDG_CACHE_HOME") / "vase";
  if (cache.empty()) cache = variable("HOME") / ".cache" / "vase";
  return cache / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf";
}

std::vector<llama_token> tokens_of(const llama_model *model, const std::string &text) {
  std::vector<llama_token> tokens(text.size() + 8);
  const int32_t count =
      llama_tokenize(llama_model_get_vocab(model), text.data(), static_cast<int32_t>(text.size()),
                     tokens.data(), static_cast<int32_t>(tokens.size()), true, true);
  tokens.resize(static_cast<size_t>(std::max(0, count)));
  return tokens;
}

// A real model has attention sinks and reads what is near: with the rows that matter kept, it goes
// on counting long after the first numbers were evicted. Unlike the tiny models, it would be lost
// with rows in wrong places.
TEST(DefaultModel, GoesOnCountingInABoundedCache) {
  if (!std::filesystem::exists(default_model()))
    GTEST_SKIP() << default_model() << " is not there (make demo fetches it)";
  const Model model = load_model(default_model());
  std::string text = "Let us count:";
  for (int i = 1; i <= 120; ++i) text += " " + std::to_string(i) + ",";
  const std::vector<llama_token> tokens = tokens_of(model.get(), text);
  ASSERT_GT(tokens.size(), 300u);

  BoundedOptions options = options_for("vase", 192);
  BoundedContext context(model.get(), options);
  context.decode({{.sequence = 0, .tokens = tokens}});
  const llama_vocab *vocab = llama_model_get_vocab(model.get());
  std::string answer;
  for (int i = 0; i < 25; ++i) {
    const float *logits = context.logits(0);
    const auto token = static_cast<llama_token>(
        std::max_element(logits, logits + llama_vocab_n_tokens(vocab)) - logits);
    char piece[64];
    const int32_t length = llama_token_to_piece(vocab, token, piece, sizeof(piece), 0, false);
    answer.append(piece, static_cast<size_t>(std::max(0, length)));
    feed_singly(context, 0, {&token, 1});
  }
  EXPECT_EQ(answer.substr(0, 20), " 121, 122, 123, 124,");
  EXPECT_GT(context.statistics(0).evictions, 0);
  EXPECT_LE(context.statistics(0).rows, 192 + 32);
}

}  // namespace
}  // namespace vase::tests
