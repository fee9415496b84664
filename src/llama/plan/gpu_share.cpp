#include "llama/plan/gpu_share.hpp"

#include <memory>

#include "ggml-backend.h"
#include "gguf.h"

namespace vase {
namespace {

struct FreeGguf {
  void operator()(gguf_context *file) const { gguf_free(file); }
};

}  // namespace

double share_on_gpus(const llama_model *model, const llama_model_params &params) {
  if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) == nullptr) return 0;
  const int32_t layers = llama_model_n_layer(model);
  if (params.n_gpu_layers < 0 || params.n_gpu_layers > layers) return 1;
  return static_cast<double>(params.n_gpu_layers) / (layers + 1);
}

size_t host_weights(const std::string &path) {
  const std::unique_ptr<gguf_context, FreeGguf> file(
      gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}));
  if (file == nullptr || gguf_find_tensor(file.get(), "output.weight") < 0) return 0;
  const int64_t embedding = gguf_find_tensor(file.get(), "token_embd.weight");
  return embedding < 0 ? 0 : gguf_get_tensor_size(file.get(), embedding);
}

size_t compute_on_gpus(const LogCapture &log) {
  size_t bytes = 0;
  for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    const ggml_backend_dev_t device = ggml_backend_dev_get(i);
    if (ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_GPU) continue;
    // llama.cpp names a buffer after its device.
    bytes +=
        log.mebibytes(" " + std::string(ggml_backend_dev_name(device)) + " compute buffer size");
  }
  return bytes;
}

}  // namespace vase
