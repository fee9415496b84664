// Steps that read some rows of a full cache: the attention that is computed for them, and that it
// reaches the logits of an unmodified llama.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>

#include "contexts.hpp"
#include "ggml-backend.h"
#include "llama/selection/choice.hpp"
#include "llama/selection/selector.hpp"

namespace vase::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Largest, AreTheFirstOfEqualOnes) {
  const float nan = std::nanf("");
  const std::vector<float> scores = {1, 3, nan, 2, 3, 2, -1};
  EXPECT_THAT(largest(scores, 1), ElementsAre(1));
  EXPECT_THAT(largest(scores, 3), ElementsAre(1, 3, 4));
  EXPECT_THAT(largest(scores, 4), ElementsAre(1, 3, 4, 5));
  EXPECT_THAT(largest(scores, 6), ElementsAre(0, 1, 3, 4, 5, 6)) << "NaN comes last";
  EXPECT_THAT(largest(scores, 0), ElementsAre());
  EXPECT_EQ(largest(scores, 7).size(), 7U);
}

std::vector<float> random_floats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &value : values) value = normal(random);
  return values;
}

// Rows of a cache as llama.cpp stores them: [dim of all heads, cells], in a ggml type.
struct StoredRows {
  StoredRows(ggml_type type, int32_t dim, int32_t heads, int32_t cells, uint32_t seed)
      : row_bytes(ggml_row_size(type, int64_t{dim} * heads)),
        bytes(row_bytes * static_cast<size_t>(cells)) {
    const int64_t elements = int64_t{dim} * heads;
    const std::vector<float> values =
        random_floats(static_cast<size_t>(elements) * static_cast<size_t>(cells), seed);
    if (type == GGML_TYPE_F32)
      std::memcpy(bytes.data(), values.data(), bytes.size());
    else
      ggml_quantize_chunk(type, values.data(), bytes.data(), 0, cells, elements, nullptr);
    rows = {bytes.data(),
            row_type(type, "rows"),
            dim,
            static_cast<int64_t>(row_bytes),
            static_cast<int64_t>(ggml_row_size(type, dim)),
            0};
  }
  size_t row_bytes;
  std::vector<std::byte> bytes;
  vase_rows rows{};
};

std::vector<float> dense_row(const vase_rows &rows, int32_t cell, int32_t head) {
  std::vector<float> row(static_cast<size_t>(pad_to_lanes(rows.dim)));
  reference_kernels().read_rows(rows, head, &cell,
                                {row.data(), 1, static_cast<int32_t>(row.size())});
  return row;
}

TEST(PageBounds, NoKeyOfAPageHasALargerProduct) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0}) {
    const StoredRows keys(type, 64, 2, 83, 5);
    for (const int32_t rows : {1, 16, 47, 48, 83}) {
      PageBounds bounds(64);
      bounds.read(keys.rows, 1, rows);
      for (uint32_t seed = 0; seed < 8; ++seed) {
        const std::vector<float> query = random_floats(64, seed);
        const std::vector<float> bound = bounds.bounds(query, keys.rows, 1, rows);
        ASSERT_EQ(std::ssize(bound), PageBounds::pages_of(rows));
        for (int32_t row = 0; row < rows; ++row) {
          const std::vector<float> key = dense_row(keys.rows, row, 1);
          const double product = std::inner_product(query.begin(), query.end(), key.begin(), 0.0);
          ASSERT_GE(bound[static_cast<size_t>(row / 16)], product - 1e-4)
              << ggml_type_name(type) << " row " << row << " of " << rows;
        }
      }
    }
  }
}

TEST(PageBounds, RowsThatAreWrittenAnewAreReadAnew) {
  StoredRows keys(GGML_TYPE_F32, 64, 1, 40, 5);
  const StoredRows others(GGML_TYPE_F32, 64, 1, 40, 6);
  const std::vector<float> query = random_floats(64, 1);
  PageBounds bounds(64), fresh(64);
  bounds.read(keys.rows, 0, 40);
  std::copy(others.bytes.begin() + static_cast<ptrdiff_t>(20 * keys.row_bytes), others.bytes.end(),
            keys.bytes.begin() + static_cast<ptrdiff_t>(20 * keys.row_bytes));
  bounds.forget_from(20);
  bounds.read(keys.rows, 0, 40);
  fresh.read(keys.rows, 0, 40);
  EXPECT_EQ(bounds.bounds(query, keys.rows, 0, 40), fresh.bounds(query, keys.rows, 0, 40));
}

TEST(SelectionParams, WhatIsReadInFull) {
  const SelectionParams oracle{Selection::kOracle, 64}, quest{Selection::kQuest, 64};
  EXPECT_TRUE(oracle.reads_all(0, 64));
  EXPECT_FALSE(oracle.reads_all(0, 65));
  EXPECT_TRUE(quest.reads_all(1, 1000)) << "the first two layers, as published";
  EXPECT_FALSE(quest.reads_all(2, 65));
  EXPECT_TRUE(quest.reads_all(2, 64));
  EXPECT_TRUE((SelectionParams{Selection::kQuest, 1}.reads_all(2, 48))) << "at least three pages";
}

struct FreeBackend {
  void operator()(ggml_backend_t backend) const { ggml_backend_free(backend); }
  void operator()(ggml_context *context) const { ggml_free(context); }
  void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
};

// ggml's own attention, of one token over all rows.
std::vector<float> flash_attention(const StoredRows &keys, const StoredRows &values, ggml_type type,
                                   const AttentionShape &shape, int32_t rows,
                                   const std::vector<float> &queries) {
  const std::unique_ptr<ggml_backend, FreeBackend> backend(
      ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
  const std::unique_ptr<ggml_context, FreeBackend> context(
      ggml_init({.mem_size = 32 * ggml_tensor_overhead() + ggml_graph_overhead(),
                 .mem_buffer = nullptr,
                 .no_alloc = true}));
  ggml_context *c = context.get();
  const int64_t dim = keys.rows.dim;
  ggml_tensor *q = ggml_new_tensor_4d(c, GGML_TYPE_F32, dim, 1, shape.n_query_heads, 1);
  ggml_tensor *k = ggml_new_tensor_3d(c, type, dim, shape.n_heads, rows);
  ggml_tensor *v = ggml_new_tensor_3d(c, type, dim, shape.n_heads, rows);
  ggml_tensor *node =
      ggml_flash_attn_ext(c, q, ggml_permute(c, k, 0, 2, 1, 3), ggml_permute(c, v, 0, 2, 1, 3),
                          nullptr, shape.scale, 0, shape.soft_cap);
  ggml_tensor *sinks = nullptr;
  if (!shape.sinks.empty()) {
    sinks = ggml_new_tensor_1d(c, GGML_TYPE_F32, shape.n_query_heads);
    ggml_flash_attn_ext_add_sinks(node, sinks);
  }
  const std::unique_ptr<ggml_backend_buffer, FreeBackend> buffer(
      ggml_backend_alloc_ctx_tensors(c, backend.get()));
  ggml_backend_tensor_set(q, queries.data(), 0, ggml_nbytes(q));
  ggml_backend_tensor_set(k, keys.bytes.data(), 0, ggml_nbytes(k));
  ggml_backend_tensor_set(v, values.bytes.data(), 0, ggml_nbytes(v));
  if (sinks != nullptr) ggml_backend_tensor_set(sinks, shape.sinks.data(), 0, ggml_nbytes(sinks));
  ggml_cgraph *graph = ggml_new_graph(c);
  ggml_build_forward_expand(graph, node);
  EXPECT_EQ(ggml_backend_graph_compute(backend.get(), graph), GGML_STATUS_SUCCESS);
  std::vector<float> out(static_cast<size_t>(ggml_nelements(node)));
  ggml_backend_tensor_get(node, out.data(), 0, ggml_nbytes(node));
  return out;
}

// Where a budget covers all rows, nothing is computed anew (TEST_F below). That what is computed is
// attention is seen here, over all rows: as near to ggml's as its f16 sums and its 8-bit queries
// allow.
TEST(SelectedAttention, OverAllRowsIsWhatGgmlComputes) {
  ThreadPool pool(2);
  const std::vector<float> sinks = {0.5f, -1, 2, 0, 3, 1};
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0})
    for (const float soft_cap : {0.0f, 2.0f})
      for (const bool with_sinks : {false, true})
        for (const Selection selection : {Selection::kOracle, Selection::kQuest}) {
          constexpr int32_t kRows = 600;
          AttentionShape shape{2, 6, 0.125f, soft_cap, {}};
          if (with_sinks) shape.sinks = sinks;
          const StoredRows keys(type, 64, 2, kRows, 1), values(type, 64, 2, kRows, 2);
          const std::vector<float> queries = random_floats(6 * 64, 3);
          std::vector<PageBounds> bounds(2, PageBounds(64));
          for (int32_t head = 0; head < 2; ++head)
            bounds[static_cast<size_t>(head)].read(keys.rows, head, kRows);
          std::vector<float> out(queries.size());
          const DecodedToken token{
              {selection, 608},   kRows,     keys.rows,
              values.rows,        bounds,    reinterpret_cast<const std::byte *>(queries.data()),
              64 * sizeof(float), out.data()};
          attend(shape, {&token, 1}, pool);
          const std::vector<float> expected =
              flash_attention(keys, values, type, shape, kRows, queries);
          const float bound = type == GGML_TYPE_F32 ? 1e-5f : 3e-3f;
          for (size_t i = 0; i < out.size(); ++i)
            ASSERT_NEAR(out[i], expected[i], bound)
                << ggml_type_name(type) << " cap " << soft_cap << " sinks " << with_sinks;
        }
}

class SelectorTest : public testing::TestWithParam<const char *> {
 protected:
  // A context of full caches; `selector` is nullptr: plain llama.cpp.
  static BoundedContext make(llama_model *model, Selector *selector, int32_t n_sequences = 1,
                             ggml_type type = GGML_TYPE_F16) {
    BoundedOptions options = options_for("full", 512);
    options.n_sequences = n_sequences;
    options.bridge = 4;
    options.context.n_ubatch = 128;
    options.context.n_ctx = 768;
    options.context.type_k = options.context.type_v = type;
    options.context.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    // As Selector::listen() wants it: beside a GPU large steps would be computed there, and round
    // otherwise.
    options.context.op_offload = false;
    if (selector != nullptr) selector->listen(options.context);
    BoundedContext context(model, options);
    if (selector != nullptr) selector->attach(context);
    return context;
  }

  static double distance(const std::vector<float> &a, const std::vector<float> &b) {
    double most = 0;
    for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(double{a[i]} - b[i]));
    return most;
  }
};

TEST_P(SelectorTest, ABudgetOfAllRowsChangesNoBit) {
  const Model model = tiny_model(GetParam());
  Selector selector(1);
  BoundedContext plain = make(model.get(), nullptr), selecting = make(model.get(), &selector);
  for (const Selection selection : {Selection::kOracle, Selection::kQuest}) {
    plain.clear(0);
    selecting.clear(0);
    selector.select(0, SelectionParams{selection, 512});
    const std::vector<llama_token> tokens = random_tokens(300);
    for (size_t i = 0; i < tokens.size(); i += 3) {
      const std::span<const llama_token> step(tokens.data() + i, 3);
      plain.decode({{.sequence = 0, .tokens = step}});
      selecting.decode({{.sequence = 0, .tokens = step}});
      selector.check();
      ASSERT_EQ(logits_of(plain, 0), logits_of(selecting, 0)) << "after token " << i + 3;
    }
  }
}

TEST_P(SelectorTest, TheFewerRowsTheFartherFromAll) {
  const Model model = tiny_model(GetParam());
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_F32, GGML_TYPE_Q8_0}) {
    Selector selector(2);
    BoundedContext plain = make(model.get(), nullptr, 1, type),
                   selecting = make(model.get(), &selector, 1, type);
    const std::vector<llama_token> tokens = random_tokens(300);
    const auto apart = [&](int32_t budget) {
      plain.clear(0);
      selecting.clear(0);
      selector.select(0, SelectionParams{Selection::kOracle, budget});
      plain.decode({{.sequence = 0, .tokens = tokens}});
      selecting.decode({{.sequence = 0, .tokens = tokens}});
      selector.check();
      return distance(logits_of(plain, 0), logits_of(selecting, 0));
    };
    // All rows but the one of least attention: what is left is how attention is computed.
    const double rounding = apart(299), few = apart(32), fewest = apart(2);
    EXPECT_GT(rounding, 0) << ggml_type_name(type);
    EXPECT_LT(rounding, few) << ggml_type_name(type);
    EXPECT_LT(few, fewest) << ggml_type_name(type);
  }
}

// However the tokens are batched, and whoever else is in the batch. Rounding depends on the batch
// and may turn a choice between rows that are nearly equal.
TEST_P(SelectorTest, StepsAndCompanyDoNotMatter) {
  const Model model = tiny_model(GetParam());
  Selector alone(1), together(2);
  BoundedContext plain = make(model.get(), nullptr), one = make(model.get(), &alone),
                 many = make(model.get(), &together, 4);
  const std::vector<llama_token> tokens = random_tokens(200, 7);
  const std::span<const llama_token> text(tokens);
  plain.decode({{.sequence = 0, .tokens = text}});
  for (const Selection selection : {Selection::kOracle, Selection::kQuest}) {
    // Of two layers Quest reads all.
    if (selection == Selection::kQuest && llama_model_n_layer(model.get()) <= 2) continue;
    one.clear(0);
    many.clear(0);
    many.clear(3);
    alone.select(0, SelectionParams{selection, 48});
    together.select(3, SelectionParams{selection, 48});
    together.select(0, SelectionParams{Selection::kOracle, 5});
    alone.set_prompt_end(0, 100);
    together.set_prompt_end(3, 100);
    one.decode({{.sequence = 0, .tokens = text.first(100)}});
    feed_singly(one, 0, text.subspan(100));
    alone.check();
    many.decode({{.sequence = 3, .tokens = text.first(70)}});
    many.decode({{.sequence = 3, .tokens = text.subspan(70, 55)}});  // over the prompt's end
    for (size_t i = 125; i < 200; i += 5)
      many.decode({{.sequence = 0, .tokens = text.subspan(i, 3)},
                   {.sequence = 3, .tokens = text.subspan(i, 5)}});
    together.check();
    const std::vector<float> logits = logits_of(one, 0);
    const double selected = distance(logits, logits_of(plain, 0));
    EXPECT_GT(selected, 0);
    EXPECT_LT(distance(logits, logits_of(many, 3)), selected / 4) << name_of(selection);
  }
}

TEST_P(SelectorTest, PromptsAreReadInFull) {
  const Model model = tiny_model(GetParam());
  Selector selector(1);
  BoundedContext plain = make(model.get(), nullptr), selecting = make(model.get(), &selector);
  selector.select(0, SelectionParams{Selection::kOracle, 16});
  const std::vector<llama_token> tokens = random_tokens(301);
  const std::span<const llama_token> text(tokens);
  selector.set_prompt_end(0, 300);
  plain.decode({{.sequence = 0, .tokens = text.first(300)}});
  selecting.decode({{.sequence = 0, .tokens = text.first(300)}});
  EXPECT_EQ(logits_of(plain, 0), logits_of(selecting, 0));
  plain.decode({{.sequence = 0, .tokens = text.last(1)}});
  selecting.decode({{.sequence = 0, .tokens = text.last(1)}});
  selector.check();
  EXPECT_NE(logits_of(plain, 0), logits_of(selecting, 0));
}

INSTANTIATE_TEST_SUITE_P(Architectures, SelectorTest,
                         testing::Values("llama", "qwen3", "gemma3", "lfm2"),
                         [](const auto &test) { return std::string(test.param); });

std::string refusal_of(const std::string &architecture, uint32_t n_ctx) {
  const Model model = tiny_model(architecture);
  Selector selector(1);
  BoundedOptions options = options_for("full", 512);
  options.context.n_ctx = n_ctx;
  selector.listen(options.context);
  try {
    const BoundedContext context(model.get(), options);
    selector.attach(context);
  } catch (const Error &error) {
    return error.what();
  }
  return "nothing was refused";
}

TEST(SelectorRefusals, AreInWords) {
  EXPECT_THAT(refusal_of("mpt", 512), HasSubstr("ALiBi"));
  EXPECT_THAT(refusal_of("mamba", 512), HasSubstr("recurrent"));
  EXPECT_THAT(refusal_of("gemma3", 256), HasSubstr("sliding windows of 64"));
}

TEST_P(SelectorTest, QuestRefusesTooFewRowsAndQuantisedKeys) {
  const Model model = tiny_model(GetParam());
  const auto refusal = [&](ggml_type type, int32_t budget) -> std::string {
    Selector selector(1);
    const BoundedContext context = make(model.get(), &selector, 1, type);
    try {
      selector.select(0, SelectionParams{Selection::kQuest, budget});
    } catch (const Error &error) {
      return error.what();
    }
    return "nothing was refused";
  };
  EXPECT_THAT(refusal(GGML_TYPE_F16, 47), HasSubstr("at least 48 rows"));
  EXPECT_EQ(refusal(GGML_TYPE_F16, 48), "nothing was refused");
  EXPECT_THAT(refusal(GGML_TYPE_Q8_0, 64), HasSubstr("quantised"));
}

}  // namespace
}  // namespace vase::tests
