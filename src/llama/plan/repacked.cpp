#include "llama/plan/repacked.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "ggml-backend.h"

namespace vase {
namespace {

struct FreeContext {
  void operator()(ggml_context *context) const { ggml_free(context); }
};
struct FreeBuffer {
  void operator()(ggml_backend_buffer *buffer) const { ggml_backend_buffer_free(buffer); }
};

bool gpu_lends_host_buffers() {
  for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    const ggml_backend_dev_t device = ggml_backend_dev_get(i);
    if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_GPU &&
        ggml_backend_dev_host_buffer_type(device) != nullptr)
      return true;
  }
  return false;
}

// The CPU backend's own layouts, in the order in which llama.cpp tries them.
std::vector<ggml_backend_buffer_type_t> layouts_of(ggml_backend_dev_t cpu) {
  const auto all =
      reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
          ggml_backend_dev_backend_reg(cpu), "ggml_backend_dev_get_extra_bufts"));
  std::vector<ggml_backend_buffer_type_t> layouts;
  if (all == nullptr) return layouts;
  for (ggml_backend_buffer_type_t *type = all(cpu); type != nullptr && *type != nullptr; ++type)
    layouts.push_back(*type);
  return layouts;
}

// Looked up by token or position, not multiplied with.
bool is_lookup_table(std::string_view name) {
  constexpr std::array kTables = {"token_embd", "position_embd", "token_types",
                                  "per_layer_token_embd"};
  return std::any_of(kTables.begin(), kTables.end(),
                     [&](std::string_view table) { return name.starts_with(table); });
}

// Bytes of `weight` in `layout`, 0 if the CPU backend has no matrix product for it there.
size_t bytes_in(ggml_backend_buffer_type_t layout, ggml_backend_dev_t cpu,
                const GgufFile::Tensor &weight) {
  constexpr size_t kMostTensors = 4;
  const std::unique_ptr<ggml_context, FreeContext> context(
      ggml_init({.mem_size = kMostTensors * ggml_tensor_overhead(),
                 .mem_buffer = nullptr,
                 .no_alloc = true}));
  const bool experts = weight.name.find("_exps") != std::string::npos;
  ggml_tensor *w =
      ggml_new_tensor(context.get(), weight.type, weight.shape[2] > 1 ? 3 : 2, weight.shape.data());
  ggml_tensor *product = nullptr;
  if (experts) {
    ggml_tensor *x = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, weight.shape[0], 1, 1);
    ggml_tensor *ids = ggml_new_tensor_2d(context.get(), GGML_TYPE_I32, 1, 1);
    product = ggml_mul_mat_id(context.get(), w, x, ids);
  } else {
    ggml_tensor *x =
        ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, weight.shape[0], 1, weight.shape[2]);
    product = ggml_mul_mat(context.get(), w, x);
  }
  // Of no size: it only says where the weight would lie.
  const std::unique_ptr<ggml_backend_buffer, FreeBuffer> place(
      ggml_backend_buft_alloc_buffer(layout, 0));
  w->buffer = place.get();
  return ggml_backend_dev_supports_op(cpu, product) ? ggml_backend_buft_get_alloc_size(layout, w)
                                                    : 0;
}

}  // namespace

size_t repacked_bytes(const std::vector<GgufFile::Tensor> &tensors) {
  const ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (cpu == nullptr || gpu_lends_host_buffers()) return 0;
  const std::vector<ggml_backend_buffer_type_t> layouts = layouts_of(cpu);
  const bool tied = std::none_of(tensors.begin(), tensors.end(), [](const GgufFile::Tensor &t) {
    return t.name == "output.weight";
  });
  size_t bytes = 0;
  for (const GgufFile::Tensor &tensor : tensors) {
    const bool matrix = tensor.shape[1] > 1 && tensor.name.ends_with(".weight");
    const bool output = tied && tensor.name == "token_embd.weight";
    if (!matrix || (is_lookup_table(tensor.name) && !output)) continue;
    for (const ggml_backend_buffer_type_t layout : layouts) {
      const size_t there = bytes_in(layout, cpu, tensor);
      bytes += there;
      if (there > 0) break;
    }
  }
  return bytes;
}

}  // namespace vase
