// The sampler against llama.cpp's own chain, over drawn logits and those of real models.
#include "engine/sampler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/model.hpp"
#include "engine/shortlist.hpp"

namespace vase::engine::tests {
namespace {

using Logits = std::vector<float>;
using Tokens = std::vector<llama_token_data>;
using Chain = std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)>;

constexpr std::size_t kQwenVocabulary = 151936;

Logits drawn_logits(std::size_t n, float spread, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(2, spread);
  Logits logits(n);
  for (float &logit : logits) logit = normal(random);
  return logits;
}

Chain chain_of(const std::vector<llama_sampler *> &samplers) {
  Chain chain(llama_sampler_chain_init(llama_sampler_chain_default_params()), llama_sampler_free);
  for (llama_sampler *sampler : samplers) llama_sampler_chain_add(chain.get(), sampler);
  return chain;
}

Chain llama_chain(const SamplingOptions &options) {
  return chain_of(
      {llama_sampler_init_top_k(options.top_k), llama_sampler_init_top_p(options.top_p, 1),
       llama_sampler_init_min_p(options.min_p, 1), llama_sampler_init_temp(options.temperature),
       llama_sampler_init_dist(options.seed)});
}

Tokens all_tokens(const Logits &logits) {
  Tokens tokens;
  for (const float logit : logits)
    tokens.push_back({static_cast<llama_token>(tokens.size()), logit, 0.0f});
  return tokens;
}

llama_token draw(llama_sampler *chain, const Logits &logits) {
  Tokens tokens = all_tokens(logits);
  llama_token_data_array array = {tokens.data(), tokens.size(), -1, false};
  llama_sampler_apply(chain, &array);
  return array.data[array.selected].id;
}

// What `chain` leaves of the tokens, with their probabilities, in its order.
Tokens left_by(const Chain &chain, Tokens tokens, bool sorted) {
  llama_token_data_array array = {tokens.data(), tokens.size(), -1, sorted};
  llama_sampler_apply(chain.get(), &array);
  return {array.data, array.data + array.size};
}

// Ours and llama.cpp's are the same tokens, with the same probabilities. Ids are compared by their
// logits: which of two equal ones comes first, llama.cpp does not say. Where its sum of floats
// meets top-p it may stop earlier or later: `rounding` is how much of the probability that may be.
void expect_same(const Tokens &ours, const Tokens &theirs, double rounding) {
  const std::size_t common = std::min(ours.size(), theirs.size());
  for (std::size_t i = 0; i < common; ++i) {
    ASSERT_EQ(ours[i].logit, theirs[i].logit) << "rank " << i;
    if (ours.size() == theirs.size()) {
      ASSERT_NEAR(ours[i].p, theirs[i].p, 1e-5) << "rank " << i;
    }
  }
  double rest = 0;
  for (const Tokens *tokens : {&ours, &theirs}) {
    for (std::size_t i = common; i < tokens->size(); ++i)
      rest += static_cast<double>((*tokens)[i].p);
  }
  EXPECT_LE(rest, rounding) << ours.size() << " tokens, not " << theirs.size();
}

// The definition of top-p, in double precision: the fewest tokens that have p together.
void expect_nucleus(const Logits &logits, double p, const Tokens &nucleus) {
  Logits sorted = logits;
  std::ranges::sort(sorted, std::greater{});
  const auto weight = [&](float logit) { return std::exp(static_cast<double>(logit) - sorted[0]); };
  double sum = 0;
  for (const float logit : sorted) sum += weight(logit);
  double kept = 0, before_last = 0;
  for (std::size_t i = 0; i < nucleus.size(); ++i) {
    ASSERT_EQ(nucleus[i].logit, sorted[i]) << "rank " << i;
    ASSERT_EQ(nucleus[i].logit, logits[static_cast<std::size_t>(nucleus[i].id)]);
    before_last = kept;
    kept += weight(sorted[i]);
  }
  EXPECT_GE(kept / sum, p - 1e-6);
  EXPECT_TRUE(before_last / sum < p + 1e-6 || nucleus.size() == 1) << before_last / sum;
}

void expect_same_shortlists(const Logits &logits) {
  // Each addition of floats may lose 2^-24 of the sum, and llama.cpp adds them one by one.
  const double rounding =
      logits.size() < 10000 ? 0 : static_cast<double>(logits.size()) * std::ldexp(1.0, -24);
  const auto dist = [] { return llama_sampler_init_dist(1); };
  LogitBlocks blocks;
  blocks.read(logits);
  Tokens tokens;
  for (const int k : {1, 20, 40, 128, 500, 5000}) {
    SCOPED_TRACE("top-k " + std::to_string(k));
    shortlist_top_k(blocks, k, tokens);
    expect_same(left_by(chain_of({dist()}), tokens, true),
                left_by(chain_of({llama_sampler_init_top_k(k), dist()}), all_tokens(logits), false),
                0);
  }
  for (const float p : {0.0f, 0.1f, 0.5f, 0.9f, 0.95f, 0.999f}) {
    SCOPED_TRACE("top-p " + std::to_string(p));
    shortlist_top_p(blocks, p, tokens);
    expect_nucleus(logits, static_cast<double>(p), tokens);
    expect_same(
        left_by(chain_of({dist()}), tokens, true),
        left_by(chain_of({llama_sampler_init_top_p(p, 1), dist()}), all_tokens(logits), false),
        rounding);
  }
  for (const float p : {0.01f, 0.05f, 0.3f, 1.0f}) {
    SCOPED_TRACE("min-p " + std::to_string(p));
    shortlist_min_p(blocks, p, tokens);
    expect_same(
        left_by(chain_of({dist()}), tokens, false),
        left_by(chain_of({llama_sampler_init_min_p(p, 1), dist()}), all_tokens(logits), false), 0);
  }
}

const std::vector<SamplingOptions> kOptions = {
    {.temperature = 0.6f, .top_k = 0, .top_p = 0.95f, .min_p = 0},
    {.temperature = 0.6f, .top_k = 20, .top_p = 0.95f, .min_p = 0},
    {},
    {.temperature = 1.5f, .top_k = 0, .top_p = 0.9f, .min_p = 0.1f},
    {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0.05f},
    {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0},
    {.temperature = 2, .top_k = 300, .top_p = 1, .min_p = 0}};

// The same seed draws the same tokens; `share`: of those whose nucleus is cut by llama.cpp's
// rounding, at least so many.
void expect_same_draws(const std::vector<Logits> &steps, double share) {
  for (SamplingOptions options : kOptions) {
    std::size_t same = 0, all = 0;
    for (options.seed = 1; options.seed < 4; ++options.seed) {
      Sampler sampler(nullptr, options);
      const Chain chain = llama_chain(options);
      for (const Logits &logits : steps) {
        const auto logit_of = [&](llama_token t) { return logits[static_cast<std::size_t>(t)]; };
        same += logit_of(sampler.sample(logits)) == logit_of(draw(chain.get(), logits));
        ++all;
      }
    }
    const bool cut_by_sum = options.top_k == 0 && options.top_p < 1;
    EXPECT_GE(static_cast<double>(same), static_cast<double>(all) * (cut_by_sum ? share : 1))
        << "temperature " << options.temperature << ", top-k " << options.top_k << ", top-p "
        << options.top_p << ", min-p " << options.min_p << ": " << same << " of " << all;
  }
}

TEST(Sampler, KeepsWhatLlamaKeeps) {
  for (const std::size_t n :
       {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{1000}, kQwenVocabulary}) {
    for (const float spread : {1.0f, 3.0f, 8.0f}) {
      SCOPED_TRACE(std::to_string(n) + " logits of spread " + std::to_string(spread));
      expect_same_shortlists(drawn_logits(n, spread, 5));
    }
  }
}

TEST(Sampler, DrawsWhatLlamaDraws) {
  std::vector<Logits> steps;
  for (std::uint32_t seed = 0; seed < 20; ++seed) steps.push_back(drawn_logits(5000, 3, seed));
  expect_same_draws(steps, 1);
}

TEST(Sampler, KeepsAndDrawsTheSameOfARealModel) {
  const char *cache = std::getenv("VASE_CACHE");
  const char *home = std::getenv("HOME");
  const std::filesystem::path folder =
      cache != nullptr ? std::filesystem::path(cache)
                       : std::filesystem::path(home != nullptr ? home : "") / ".cache/vase";
  int tried = 0;
  for (const char *name :
       {"SmolLM2-135M-Instruct.Q4_1.gguf", "qwen2.5-coder-0.5b-instruct.Q4_K_M.gguf"}) {
    const std::filesystem::path path = folder / "models" / name;
    if (!std::filesystem::exists(path)) continue;
    ++tried;
    SCOPED_TRACE(name);
    const Model model({.path = path});
    BoundedOptions options;
    options.policy = vase_params_default(vase_policy_find("full"), 512);
    BoundedContext context = model.make_context(options);
    const auto n_vocab = static_cast<std::size_t>(llama_vocab_n_tokens(model.vocab()));
    std::vector<Logits> steps;
    const auto text = model.tokenize("The first thing that anybody saw of the old harbour was");
    for (const llama_token token : text) {
      context.decode({{.sequence = 0, .tokens = {&token, 1}}});
      const float *logits = context.logits(0);
      steps.emplace_back(logits, logits + n_vocab);
      expect_same_shortlists(steps.back());
    }
    expect_same_draws(steps, 0.9);
  }
  if (tried == 0) GTEST_SKIP() << "no model is there (scripts/fetch-model.sh fetches one)";
}

TEST(Sampler, TakesTheFirstOfTheLargest) {
  Sampler sampler(nullptr, {.temperature = 0});
  Logits logits(1000, -3);
  EXPECT_EQ(sampler.sample(logits), 0);
  logits[990] = logits[77] = logits[100] = 5;
  EXPECT_EQ(sampler.sample(logits), 77);
  logits.assign(1000, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(sampler.sample(logits), 0);
  logits.assign(1000, std::numeric_limits<float>::quiet_NaN());
  logits[999] = -50;
  EXPECT_EQ(sampler.sample(logits), 999);
}

TEST(Sampler, EqualLogitsAreTakenInTheOrderOfTheVocabulary) {
  LogitBlocks blocks;
  const Logits logits(300, 1);
  blocks.read(logits);
  Tokens tokens;
  shortlist_top_k(blocks, 3, tokens);
  ASSERT_EQ(tokens.size(), 3u);
  EXPECT_EQ(tokens[2].id, 2);
  shortlist_top_p(blocks, 0.5f, tokens);
  ASSERT_EQ(tokens.size(), 150u);
  EXPECT_EQ(tokens.back().id, 149);
}

TEST(Sampler, NeverDrawsAnInfiniteLogitOrNone) {
  Logits logits(500, -std::numeric_limits<float>::infinity());
  for (const SamplingOptions &options : kOptions) {
    Sampler sampler(nullptr, options);
    logits[300] = -std::numeric_limits<float>::infinity();
    EXPECT_EQ(sampler.sample(logits), 0);  // nothing to draw from
    logits[300] = 1;
    EXPECT_EQ(sampler.sample(logits), 300);
  }
}

TEST(Sampler, SumsExponentials) {
  for (const float spread : {0.0f, 1.0f, 10.0f, 100.0f}) {
    const Logits logits = drawn_logits(kQwenVocabulary + 3, spread, 9);
    LogitBlocks blocks;
    blocks.read(logits);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - blocks.max());
    EXPECT_NEAR(blocks.exp_sum() / sum, 1, 1e-6) << spread;
  }
}

}  // namespace
}  // namespace vase::engine::tests
