// Selected attention on a CUDA device, against the same on the CPU. Skips itself where llama.cpp
// sees no GPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "contexts.hpp"
#include "ggml-backend.h"
#include "llama/selection/device_attention.hpp"
#include "llama/selection/selector.hpp"

namespace vase::tests {
namespace {

struct FreeGgml {
  void operator()(ggml_backend_t backend) const { ggml_backend_free(backend); }
  void operator()(ggml_context *context) const { ggml_free(context); }
  void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
};

ggml_backend_dev_t gpu() {
  ggml_backend_load_all();
  return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU);
}

std::vector<float> random_floats(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float &value : values) value = normal(random);
  return values;
}

// An attention node of two streams of two tokens in the memory of a GPU, never computed.
class Node {
 public:
  static constexpr int32_t kDim = 96, kHeads = 2, kQueryHeads = 6, kCells = 700, kStreams = 2;

  Node(float soft_cap, bool with_sinks)
      : backend_(ggml_backend_dev_init(gpu(), nullptr)),
        context_(ggml_init(
            {.mem_size = 32 * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true})),
        shape_{kHeads, kQueryHeads, 0.1f, soft_cap, {}} {
    ggml_context *c = context_.get();
    ggml_tensor *q = ggml_new_tensor_4d(c, GGML_TYPE_F32, kDim, kQueryHeads, 2, kStreams);
    ggml_tensor *k = ggml_new_tensor_4d(c, GGML_TYPE_F16, kDim, kHeads, kCells, kStreams);
    ggml_tensor *v = ggml_new_tensor_4d(c, GGML_TYPE_F16, kDim, kHeads, kCells, kStreams);
    node_ = ggml_flash_attn_ext(c, ggml_permute(c, q, 0, 2, 1, 3), ggml_permute(c, k, 0, 2, 1, 3),
                                ggml_permute(c, v, 0, 2, 1, 3), nullptr, shape_.scale, 0, soft_cap);
    ggml_tensor *sinks = nullptr;
    if (with_sinks) {
      sinks = ggml_new_tensor_1d(c, GGML_TYPE_F32, kQueryHeads);
      ggml_flash_attn_ext_add_sinks(node_, sinks);
    }
    buffer_.reset(ggml_backend_alloc_ctx_tensors(c, backend_.get()));
    queries_ = random_floats(ggml_nelements(q), 1);
    ggml_backend_tensor_set(q, queries_.data(), 0, ggml_nbytes(q));
    fill(k, keys_, 2);
    fill(v, values_, 3);
    if (with_sinks) {
      sinks_ = random_floats(kQueryHeads, 4);
      ggml_backend_tensor_set(sinks, sinks_.data(), 0, ggml_nbytes(sinks));
      shape_.sinks = sinks_;
    }
  }

  std::vector<float> on_device(std::span<const PlacedToken> tokens) {
    ggml_backend_tensor_memset(node_, 0, 0, ggml_nbytes(node_));
    EXPECT_TRUE(make_device_attention()->attend(node_, shape_, tokens));
    std::vector<float> out(static_cast<size_t>(ggml_nelements(node_)));
    ggml_backend_tensor_get(node_, out.data(), 0, ggml_nbytes(node_));
    return out;
  }

  std::vector<float> on_host(std::span<const PlacedToken> placed) {
    std::vector<float> out(static_cast<size_t>(ggml_nelements(node_)));
    for (const PlacedToken &token : placed) {
      const auto rows = [&](std::vector<ggml_fp16_t> &all) {
        return vase_rows{all.data() + token.stream * kCells * kHeads * kDim,
                         VASE_F16,
                         kDim,
                         kHeads * kDim * 2,
                         kDim * 2,
                         0};
      };
      std::vector<PageBounds> bounds(kHeads, PageBounds(kDim));
      for (int32_t head = 0; head < kHeads; ++head)
        bounds[static_cast<size_t>(head)].read(rows(keys_), head, token.rows);
      const int64_t at = (token.stream * 2 + token.index) * kQueryHeads * kDim;
      const DecodedToken decoded{token.params,
                                 token.rows,
                                 rows(keys_),
                                 rows(values_),
                                 bounds,
                                 reinterpret_cast<const std::byte *>(queries_.data() + at),
                                 kDim * sizeof(float),
                                 out.data() + at};
      ThreadPool pool(1);
      attend(shape_, {&decoded, 1}, pool);
    }
    return out;
  }

 private:
  static void fill(ggml_tensor *rows, std::vector<ggml_fp16_t> &copy, uint32_t seed) {
    const std::vector<float> values = random_floats(ggml_nelements(rows), seed);
    copy.resize(values.size());
    ggml_fp32_to_fp16_row(values.data(), copy.data(), static_cast<int64_t>(values.size()));
    ggml_backend_tensor_set(rows, copy.data(), 0, ggml_nbytes(rows));
  }

  std::unique_ptr<ggml_backend, FreeGgml> backend_;
  std::unique_ptr<ggml_context, FreeGgml> context_;
  std::unique_ptr<ggml_backend_buffer, FreeGgml> buffer_;
  AttentionShape shape_;
  ggml_tensor *node_ = nullptr;
  std::vector<float> queries_, sinks_;
  std::vector<ggml_fp16_t> keys_, values_;
};

TEST(CudaSelection, AttendsAsTheHostDoes) {
  if (gpu() == nullptr) GTEST_SKIP() << "llama.cpp sees no GPU here";
  for (const float soft_cap : {0.0f, 2.0f})
    for (const bool with_sinks : {false, true}) {
      Node node(soft_cap, with_sinks);
      const std::vector<PlacedToken> tokens = {{{Selection::kOracle, 64}, 0, 0, 700},
                                               {{Selection::kQuest, 128}, 0, 1, 699},
                                               {{Selection::kOracle, 300}, 1, 0, 301},
                                               {{Selection::kQuest, 64}, 1, 1, 640}};
      const std::vector<float> device = node.on_device(tokens), host = node.on_host(tokens);
      ASSERT_EQ(device.size(), host.size());
      for (size_t i = 0; i < device.size(); ++i)
        ASSERT_NEAR(device[i], host[i], 1e-4) << "cap " << soft_cap << " sinks " << with_sinks;
    }
}

// Rounding differs, so a row that is nearly as much attended to as another may be read instead.
TEST(CudaSelection, ReachesTheLogitsAsOnTheCpu) {
  if (gpu() == nullptr) GTEST_SKIP() << "llama.cpp sees no GPU here";
  const TemporaryFolder folder;
  write_tiny_model("gemma3", folder / "model.gguf");
  const auto logits = [&](int32_t n_gpu_layers, int32_t budget, Selection selection,
                          ggml_type type) {
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = n_gpu_layers;
    const Model model(llama_model_load_from_file((folder / "model.gguf").c_str(), params));
    Selector selector(1);
    BoundedOptions options = options_for("full", 512);
    options.context.n_ctx = 768;
    options.context.n_ubatch = 128;
    options.context.type_k = options.context.type_v = type;
    selector.listen(options.context);
    BoundedContext context(model.get(), options);
    selector.attach(context);
    selector.select(0, SelectionParams{selection, budget});
    selector.set_prompt_end(0, 250);
    const std::vector<llama_token> tokens = random_tokens(300);
    context.decode({{.sequence = 0, .tokens = std::span(tokens).first(250)}});
    feed_singly(context, 0, std::span(tokens).subspan(250));
    selector.check();
    return logits_of(context, 0);
  };
  const auto distance = [](const std::vector<float> &a, const std::vector<float> &b) {
    double most = 0;
    for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(double{a[i]} - b[i]));
    return most;
  };
  // q8_0 rows are attended to on the host, whatever they lie on.
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0})
    for (const Selection selection : {Selection::kOracle, Selection::kQuest}) {
      if (type == GGML_TYPE_Q8_0 && selection == Selection::kQuest) continue;  // it refuses
      const auto on_gpu = logits(99, 48, selection, type), on_cpu = logits(0, 48, selection, type),
                 full = logits(99, 512, selection, type);
      EXPECT_LT(distance(on_gpu, on_cpu), distance(on_gpu, full) / 2)
          << ggml_type_name(type) << " " << name_of(selection);
    }
}

}  // namespace
}  // namespace vase::tests
