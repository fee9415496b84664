#include "llama/plan/gpu_share.hpp"

#include <string>

#include "ggml-backend.h"

namespace vase {
double share_on_gpus(const llama_model *model, const llama_model_params &params) {
  if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) == nullptr) return 0;
  const int32_t layers = llama_model_n_layer(model);
  if (params.n_gpu_layers < 0 || params.n_gpu_layers > layers) return 1;
  return static_cast<double>(params.n_gpu_layers) / (layers + 1);
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
