// The bounded context on a CUDA device, against the same on the CPU. Needs a GPU and llama.cpp's
// CUDA backend; skips itself where one of them is missing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "contexts.hpp"
#include "ggml-backend.h"

namespace vase::tests {
namespace {

class CudaContext : public testing::Test {
 protected:
  void SetUp() override {
    ggml_backend_load_all();
    if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) == nullptr)
      GTEST_SKIP() << "llama.cpp sees no GPU here";
    write_tiny_model("qwen3", folder_ / "model.gguf");
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = 99;
    on_gpu_.reset(llama_model_load_from_file((folder_ / "model.gguf").c_str(), params));
    params.n_gpu_layers = 0;
    on_cpu_.reset(llama_model_load_from_file((folder_ / "model.gguf").c_str(), params));
    ASSERT_TRUE(on_gpu_ && on_cpu_);
  }

  static BoundedOptions options(const char *policy, ggml_type type = GGML_TYPE_F16) {
    BoundedOptions options = options_for(policy, 96);
    options.n_sequences = 3;
    options.context.type_k = options.context.type_v = type;
    return options;
  }

  // Feeds two sequences, the second 10 tokens behind, so that they evict at different steps.
  static void feed(BoundedContext &context, size_t count) {
    const std::vector<llama_token> tokens = random_tokens(count);
    for (size_t i = 0; i < count + 10; ++i) {
      std::vector<SequenceInput> inputs;
      if (i < count) inputs.push_back({.sequence = 0, .tokens = {&tokens[i], 1}});
      if (i >= 10) inputs.push_back({.sequence = 2, .tokens = {&tokens[i - 10], 1}});
      context.decode(inputs);
    }
  }

  TemporaryFolder folder_;
  Model on_gpu_, on_cpu_;
};

class CudaPolicy : public CudaContext, public testing::WithParamInterface<const char *> {};

// The activations differ in their last bits, so a draw near a tie may fall otherwise.
TEST_P(CudaPolicy, KeepsWhatTheCpuKeeps) {
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    SCOPED_TRACE(ggml_type_name(type));
    BoundedContext gpu(on_gpu_.get(), options(GetParam(), type));
    BoundedContext cpu(on_cpu_.get(), options(GetParam(), type));
    for (BoundedContext *context : {&gpu, &cpu}) feed(*context, 96 + 2 * 32 + 1);
    for (const int32_t sequence : {0, 2}) {
      const SequenceStatistics a = gpu.statistics(sequence), b = cpu.statistics(sequence);
      EXPECT_EQ(a.tokens, b.tokens);
      EXPECT_EQ(a.rows, b.rows);
      EXPECT_EQ(a.evictions, b.evictions);
      EXPECT_GT(a.rows_moved, 0);
      EXPECT_GT(overlap(gpu, cpu, sequence), 0.85);
    }
  }
}

// Without evict-large: the value of a token repeats where the token does, so its ranking is full of
// ties, and a GPU rounds one token differently in batches of one and of two.
INSTANTIATE_TEST_SUITE_P(Policies, CudaPolicy,
                         testing::Values("vase", "vase-plus", "vase-cur", "snapkv", "rkv", "h2o",
                                         "keydiff", "streaming", "random", "attn-random"));

// llama.cpp rotates the rows of quantised caches, which the ranges must not show: on a GPU as
// little as on a CPU.
TEST_F(CudaContext, TakesRangesOfTrueValuesAsOnACpu) {
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0}) {
    SCOPED_TRACE(ggml_type_name(type));
    BoundedContext gpu(on_gpu_.get(), options("streaming", type));
    BoundedContext cpu(on_cpu_.get(), options("streaming", type));
    for (BoundedContext *context : {&gpu, &cpu}) feed(*context, 300);
    for (int32_t head = 0; head < kHeads; ++head) {
      const HeadRows a = gpu.inspect(0, 0, head), b = cpu.inspect(0, 0, head);
      ASSERT_EQ(a.positions, b.positions);
      for (size_t i = 0; i < a.positions.size(); ++i)
        EXPECT_NEAR(a.value_ranges[i], b.value_ranges[i], 0.05f) << "position " << a.positions[i];
    }
  }
}

// The range of a value row of the first layer depends on its token alone: wherever eviction has put
// the row, the range found there must be that token's.
TEST_F(CudaContext, RowsStayThoseOfTheirTokens) {
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    SCOPED_TRACE(ggml_type_name(type));
    // A value at the edge of two steps of q4_0 may fall on either, in batches of other sizes: that
    // moves few ranges, and by no more than a step.
    const bool coarse = type == GGML_TYPE_Q4_0;
    size_t rows = 0, rounded_otherwise = 0;
    BoundedContext bounded(on_gpu_.get(), options("vase", type));
    BoundedOptions large = options("vase", type);
    large.policy.budget = 1000;
    BoundedContext full(on_gpu_.get(), large);
    feed(bounded, 500);
    feed(full, 500);
    EXPECT_GT(bounded.statistics(2).evictions, 10);
    for (int32_t head = 0; head < kHeads; ++head) {
      const HeadRows all = full.inspect(2, 0, head), kept = bounded.inspect(2, 0, head);
      ASSERT_EQ(all.positions.size(), 500u);
      std::map<int32_t, float> range;
      for (size_t i = 0; i < all.positions.size(); ++i)
        range[all.positions[i]] = all.value_ranges[i];
      for (size_t i = 0; i < kept.positions.size(); ++i) {
        const float expected = range.at(kept.positions[i]);
        EXPECT_NEAR(kept.value_ranges[i], expected, coarse ? 0.5f : 0.02f)
            << "position " << kept.positions[i];
        ++rows;
        if (std::abs(kept.value_ranges[i] - expected) > 0.02f) ++rounded_otherwise;
      }
    }
    EXPECT_LE(rounded_otherwise, coarse ? rows / 100 : 0);
  }
}

TEST_F(CudaContext, ReadsAPromptLongerThanTheBudget) {
  BoundedContext gpu(on_gpu_.get(), options("vase")), cpu(on_cpu_.get(), options("vase"));
  const std::vector<llama_token> tokens = random_tokens(1500);
  for (BoundedContext *context : {&gpu, &cpu}) context->decode({{.sequence = 1, .tokens = tokens}});
  EXPECT_EQ(gpu.statistics(1).evictions, cpu.statistics(1).evictions);
  EXPECT_EQ(gpu.statistics(1).rows, cpu.statistics(1).rows);
  const auto rows = kept(gpu, 1);
  for (const std::vector<int32_t> &head : rows) {
    EXPECT_TRUE(std::ranges::adjacent_find(head) == head.end()) << "a token twice";
    EXPECT_EQ((std::vector<int32_t>(head.begin(), head.begin() + 4)),
              (std::vector<int32_t>{0, 1, 2, 3}));
    EXPECT_EQ(head.back(), 1499);
  }
}

// A copy with the draws of the original goes on as it does.
TEST_F(CudaContext, CopiesASequence) {
  BoundedContext gpu(on_gpu_.get(), options("vase"));
  feed_singly(gpu, 0, random_tokens(300));
  gpu.copy(0, 2);
  gpu.set_draw_stream(2, 0);
  EXPECT_EQ(kept(gpu, 2), kept(gpu, 0));
  for (const int32_t sequence : {0, 2}) feed_singly(gpu, sequence, random_tokens(100, 5));
  EXPECT_GT(gpu.statistics(2).evictions, 5);
  EXPECT_EQ(kept(gpu, 2), kept(gpu, 0));
}

// The same kernels on the same data, whether the graph stops at each layer or not at all; with all
// layers on the GPU, or some.
TEST_F(CudaContext, KeepsWhatStopsKeep) {
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = 1;
  const Model in_part(llama_model_load_from_file((folder_ / "model.gguf").c_str(), params));
  for (llama_model *model : {on_gpu_.get(), in_part.get()}) {
    for (const char *policy : {"vase", "streaming"}) {
      BoundedContext tapped(model, options(policy));
      BoundedContext stopping = stopping_context(model, options(policy));
      for (BoundedContext *context : {&tapped, &stopping}) feed(*context, 300);
      EXPECT_GT(llama_perf_context(tapped.get()).n_reused, 200);
      EXPECT_EQ(llama_perf_context(stopping.get()).n_reused, 0);
      for (const int32_t sequence : {0, 2})
        EXPECT_EQ(kept(tapped, sequence), kept(stopping, sequence));
    }
  }
}

TEST_F(CudaContext, ServesPoliciesSideBySide) {
  BoundedContext gpu(on_gpu_.get(), options("vase"));
  const vase_params streaming = options_for("streaming", 80).policy;
  gpu.set_params(2, streaming, 0.0f);
  feed(gpu, 300);
  EXPECT_GT(gpu.statistics(0).evictions, 0);
  EXPECT_GT(gpu.statistics(2).evictions, 0);
  // Streaming keeps sinks and the newest: no gap but the one behind the sinks.
  for (const std::vector<int32_t> &head : kept(gpu, 2))
    EXPECT_EQ(head.back() - head[4], static_cast<int32_t>(head.size()) - 5);
}

}  // namespace
}  // namespace vase::tests
