// Drives watcher and evictor by hand, to see what lies in the cache.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "contexts.hpp"
#include "core/rope_rule.hpp"
#include "core/rows.hpp"
#include "llama/graph/compatibility.hpp"
#include "llama/graph/watcher.hpp"
#include "llama/keeper/host_evictor.hpp"
#include "llama/owned/batch.hpp"
#include "llama/plan/context_shape.hpp"
#include "score/kernels.hpp"

namespace vase::tests {
namespace {

class HandDriven {
 public:
  HandDriven(llama_model *model, const BoundedOptions &options,
             const Compatibility &compatible = compatibility())
      : options_(options),
        shape_(shape_context(model, options)),
        watcher_(shape_.cells, 1, compatible),
        batch_(1) {
    shape_.params.cb_eval = callback;
    shape_.params.cb_eval_user_data = this;
    context_.reset(llama_init_from_model(model, shape_.params));
    watcher_.begin_discovery();
    run(0, 0);
    watcher_.end_discovery();
    llama_memory_clear(llama_get_memory(context_.get()), true);
    evictor_ = std::make_unique<HostEvictor>(options.policy, watcher_.layers(), shape_.cells, 1, 1);
    watcher_.capture_queries(evictor_->queries());
    rows_ = SequenceRows(evictor_->survivor_heads(), options.policy.budget, shape_.cells);
  }

  void append(llama_token token) {
    watcher_.begin_decode(std::vector<llama_seq_id>{0},
                          std::vector<QueryWish>{{.tokens = rows_.tokens(), .from = 0}});
    run(token, static_cast<llama_pos>(rows_.tokens()));
    watcher_.end_decode(true);
    ASSERT_EQ(watcher_.placements().size(), 1u);
    rows_.append(watcher_.placements().front().cell);
  }

  void evict() {
    const int64_t oldest = rows_.oldest_label();
    Eviction eviction;
    eviction.number = evictions_++;
    eviction.params = options_.policy;
    eviction.rows = &rows_;
    evictor_->evict({&eviction, 1}, [&](const Eviction &, int32_t freed) {
      return llama_memory_seq_rm(llama_get_memory(context_.get()), 0,
                                 static_cast<llama_pos>(oldest),
                                 static_cast<llama_pos>(oldest + freed));
    });
  }

  /// Nodes that the callback was asked about, and times that it stopped the graph.
  int asks() const { return asks_; }
  int stops() const { return stops_; }
  CallbackSwitch callback_switch() {
    return {context_.get(), shape_.params.cb_eval, shape_.params.cb_eval_user_data};
  }
  void sleep() { watcher_.sleep_by(callback_switch()); }
  const SequenceRows &rows() const { return rows_; }
  HostEvictor &evictor() const { return *evictor_; }
  const Watcher &watcher() const { return watcher_; }

  // Token position and row bytes of each row of a head of the first bounded layer.
  std::vector<std::pair<int32_t, std::string>> contents(const CacheRows CacheLayer::*part,
                                                        int32_t head) const {
    const CacheRows &cache = watcher_.layers().front().*part;
    const vase_rows rows = cache.in_place(0);
    const size_t bytes = ggml_row_size(cache.tensor->type, rows.dim);
    std::vector<int32_t> positions(static_cast<size_t>(rows_.rows()));
    rows_.positions(head, positions);
    std::vector<std::pair<int32_t, std::string>> contents;
    for (size_t i = 0; i < positions.size(); ++i) {
      const char *row = static_cast<const char *>(rows.data) + rows_.cells()[i] * rows.row_stride +
                        head * rows.head_stride;
      contents.emplace_back(positions[i], std::string(row, bytes));
    }
    std::ranges::sort(contents);
    return contents;
  }

 private:
  static bool callback(ggml_tensor *node, bool ask, void *driven) {
    auto *self = static_cast<HandDriven *>(driven);
    ask ? ++self->asks_ : ++self->stops_;
    return Watcher::callback(node, ask, &self->watcher_);
  }

  void run(llama_token token, llama_pos position) {
    batch_.clear();
    batch_.add(token, position, 0, true);
    ASSERT_EQ(llama_decode(context_.get(), batch_.get()), 0);
  }

  struct Free {
    void operator()(llama_context *context) const { llama_free(context); }
  };
  BoundedOptions options_;
  ContextShape shape_;
  Watcher watcher_;
  Batch batch_;
  std::unique_ptr<llama_context, Free> context_;
  std::unique_ptr<HostEvictor> evictor_;
  SequenceRows rows_;
  uint32_t evictions_ = 0;
  int asks_ = 0, stops_ = 0;
};

// At the first layer a row depends on its token and position alone, so it must be found unchanged
// wherever eviction has put it.
TEST(CacheContents, KeptRowsAreThoseTokensRows) {
  for (const char *architecture : {"llama", "qwen2", "qwen3"})
    for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
      SCOPED_TRACE(std::string(architecture) + " " + ggml_type_name(type));
      const Model model = tiny_model(architecture);
      BoundedOptions options = options_for("vase", 96);
      options.context.type_k = options.context.type_v = type;
      HandDriven bounded(model.get(), options);
      options.policy.budget = 1000;
      HandDriven full(model.get(), options);
      for (const llama_token token : random_tokens(700)) {
        full.append(token);
        bounded.append(token);
        if (bounded.rows().rows() == 96 + 32) bounded.evict();
      }
      for (const auto part : {&CacheLayer::keys, &CacheLayer::values})
        for (int32_t head = 0; head < kHeads; ++head) {
          const auto all = full.contents(part, head), kept = bounded.contents(part, head);
          ASSERT_EQ(all.size(), 700u);
          for (const auto &[position, row] : kept)
            EXPECT_EQ(row, all[static_cast<size_t>(position)].second) << "position " << position;
        }
    }
}

/// The true key in bytes of a row of `layer`, as it was before RoPE.
std::vector<float> upright_key(const CacheLayer &layer, const std::string &row, int32_t position) {
  const vase_rows &rows = layer.keys.rows;
  std::vector<float> key(static_cast<size_t>(rows.dim));
  read_row(reinterpret_cast<const std::byte *>(row.data()), rows.type, rows.dim, key.data());
  if (rows.rotation != 0) rotate_row(key.data(), rows.dim, rows.rotation);
  std::vector<uint32_t> steps;
  for (const float frequency : layer.rope.frequencies) steps.push_back(rope_step(frequency));
  const auto pairs = static_cast<int32_t>(steps.size());
  reference_kernels().turn_back({key.data(), 1, rows.dim}, {steps.data(), pairs, layer.rope.stride},
                                &position);
  return key;
}

// At the first layer a key depends on its token alone once it is turned back, which shows that the
// frequencies are right.
void expect_upright_keys_to_depend_on_the_token_alone(const std::string &architecture,
                                                      const BoundedOptions &options,
                                                      float tolerance) {
  const Model model = tiny_model(architecture);
  HandDriven driven(model.get(), options);
  const std::vector<llama_token> tokens = random_tokens(400);
  for (const llama_token token : tokens) driven.append(token);
  const CacheLayer &layer = driven.watcher().layers().front();
  ASSERT_EQ(layer.rope.frequencies.size(), static_cast<size_t>(kHeadDim / 2));

  std::map<llama_token, std::vector<float>> seen;
  for (const auto &[position, row] : driven.contents(&CacheLayer::keys, 1)) {
    const std::vector<float> key = upright_key(layer, row, position);
    const auto [first, is_first] = seen.emplace(tokens[static_cast<size_t>(position)], key);
    if (is_first) continue;
    float largest = 0, off = 0;
    for (size_t d = 0; d < key.size(); ++d) {
      largest = std::max(largest, std::abs(key[d]));
      off = std::max(off, std::abs(key[d] - first->second[d]));
    }
    ASSERT_LT(off, tolerance * largest) << "position " << position;
  }
}

TEST(Watcher, SeesHowKeysAreRotated) {
  for (const char *architecture : {"llama", "qwen2", "qwen3"})
    for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_F32, GGML_TYPE_Q8_0}) {
      SCOPED_TRACE(std::string(architecture) + " " + ggml_type_name(type));
      BoundedOptions options = options_for("vase-plus", 1000);
      options.context.type_k = options.context.type_v = type;
      expect_upright_keys_to_depend_on_the_token_alone(architecture, options,
                                                       type == GGML_TYPE_Q8_0 ? 0.03f : 0.003f);
    }
}

TEST(Watcher, SeesHowKeysOfALongerContextAreRotated) {
  BoundedOptions options = options_for("vase-plus", 1000);
  options.context.rope_freq_base = 77000;
  options.context.rope_freq_scale = 0.25f;
  expect_upright_keys_to_depend_on_the_token_alone("qwen3", options, 0.003f);
  options.context.rope_scaling_type = LLAMA_ROPE_SCALING_TYPE_YARN;
  options.context.yarn_orig_ctx = 256;
  for (const char *architecture : {"llama", "qwen3"})
    expect_upright_keys_to_depend_on_the_token_alone(architecture, options, 0.003f);
}

// Where ggml notes parameters otherwise, nothing is made of them.
TEST(Watcher, BelievesNoLayoutThatItDoesNotKnow) {
  const Model model = tiny_model("qwen3");
  Compatibility compatible = compatibility();
  compatible.rope_layout = false;
  const HandDriven driven(model.get(), options_for("vase-plus", 96), compatible);
  for (const CacheLayer &layer : driven.watcher().layers()) {
    EXPECT_TRUE(layer.rope.unknown);
    EXPECT_TRUE(layer.rope.frequencies.empty());
  }
  compatible.attention_layout = false;
  EXPECT_THROW(HandDriven(model.get(), options_for("vase-plus", 96), compatible), Error);
}

TEST(Watcher, SeesTheShapeOfALayer) {
  const Model model = tiny_model("qwen3");
  BoundedOptions options = options_for("vase", 96);
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_F32, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    options.context.type_k = options.context.type_v = type;
    const HandDriven driven(model.get(), options);
    const CacheLayer &layer = driven.watcher().layers().front();
    EXPECT_EQ(layer.n_heads, kHeads);
    EXPECT_EQ(layer.n_query_heads, kQueryHeads);
    EXPECT_FLOAT_EQ(layer.scale, 0.125f);
    for (const CacheRows &rows : {layer.keys, layer.values}) {
      EXPECT_EQ(rows.rows.dim, kHeadDim);
      EXPECT_EQ(rows.rows.type, row_type(type, ""));
      EXPECT_EQ(rows.rows.rotation, ggml_is_quantized(type) ? 64 : 0);
      EXPECT_EQ(rows.rows.head_stride, static_cast<int64_t>(ggml_row_size(type, kHeadDim)));
      EXPECT_EQ(rows.rows.row_stride, kHeads * rows.rows.head_stride);
    }
  }
}

// Where queries are held in memory of their own, only the first step of a graph stops.
TEST(Watcher, StopsOnlyWhereQueriesWouldBeOverwritten) {
  if (!compatibility().taps) GTEST_SKIP() << compatibility().why;
  for (const char *architecture : {"llama", "mpt-no-alibi"}) {
    SCOPED_TRACE(architecture);
    const Model model = tiny_model(architecture);
    HandDriven driven(model.get(), options_for("vase", 96));
    const auto layers = static_cast<int>(driven.watcher().layers().size());
    for (const llama_token token : random_tokens(100)) driven.append(token);
    EXPECT_EQ(driven.stops(), layers);
    EXPECT_GE(driven.watcher().tap_bytes(),
              static_cast<size_t>(layers) * kQueryHeads * kHeadDim * sizeof(float));
  }

  const Model model = tiny_model("llama");
  HandDriven without(model.get(), options_for("streaming", 96));
  for (const llama_token token : random_tokens(100)) without.append(token);
  EXPECT_EQ(without.stops(), 0);
  EXPECT_EQ(without.watcher().tap_bytes(), 0u);
}

// A step like the one before runs without the callback, and the same is known of it.
TEST(Watcher, SleepsWhereNothingIsNew) {
  if (!compatibility().callback_switch) GTEST_SKIP() << compatibility().why;
  const Model model = tiny_model("llama");
  for (const char *policy : {"vase", "streaming"}) {
    HandDriven awake(model.get(), options_for(policy, 96)),
        asleep(model.get(), options_for(policy, 96));
    if (!asleep.callback_switch().can_turn()) GTEST_SKIP() << "this libllama hides its scheduler";
    asleep.sleep();
    for (const llama_token token : random_tokens(100))
      for (HandDriven *driven : {&awake, &asleep}) driven->append(token);
    EXPECT_LT(asleep.asks(), awake.asks() / 20);
    EXPECT_TRUE(std::ranges::equal(asleep.rows().cells(), awake.rows().cells()));
    for (HandDriven *driven : {&awake, &asleep}) driven->evict();
    EXPECT_EQ(asleep.contents(&CacheLayer::keys, 0), awake.contents(&CacheLayer::keys, 0));
    // The cells that were freed fill up as they do with the callback.
    for (const llama_token token : random_tokens(30, 3))
      for (HandDriven *driven : {&awake, &asleep}) driven->append(token);
    EXPECT_TRUE(std::ranges::equal(asleep.rows().cells(), awake.rows().cells()));
    EXPECT_EQ(asleep.contents(&CacheLayer::keys, 1), awake.contents(&CacheLayer::keys, 1));
  }
}

// The ring must hold, for each of the newest tokens, the query of that token: fed one by one or in
// one batch.
TEST(Watcher, CapturesTheNewestQueriesHoweverTheyAreBatched) {
  const Model model = tiny_model("llama");
  BoundedOptions options = options_for("vase", 96);
  options.context.type_k = options.context.type_v = GGML_TYPE_F32;
  HandDriven first(model.get(), options), second(model.get(), options);
  const std::vector<llama_token> tokens = random_tokens(40);
  for (const llama_token token : tokens) first.append(token);
  // The second sees the same last tokens behind another first one.
  second.append((tokens.front() + 1) % kVocabulary);
  for (const llama_token token : std::span(tokens).subspan(1)) second.append(token);
  const size_t count = size_t{kQueryHeads} * static_cast<size_t>(options.policy.window) * kHeadDim;
  const auto ring = [&](const HandDriven &driven, size_t layer) {
    const float *values = driven.evictor().rings().ring(layer, 0);
    return std::vector<float>(values, values + count);
  };
  // Queries of the first layer depend on token and position alone; those of the second see all.
  EXPECT_EQ(ring(first, 0), ring(second, 0));
  EXPECT_NE(ring(first, 1), ring(second, 1));
}

}  // namespace
}  // namespace vase::tests
