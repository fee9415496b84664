#include "engine/devices.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ggml-backend.h"
#include "vase/llama.hpp"

namespace vase::engine {
namespace {

std::vector<ggml_backend_dev_t> find_gpus() {
  std::vector<ggml_backend_dev_t> gpus;
  for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    const ggml_backend_dev_t device = ggml_backend_dev_get(i);
    if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_GPU) gpus.push_back(device);
  }
  return gpus;
}

// Versions of llama.cpp differ in the backends that can.
void check_splits_rows(const std::vector<ggml_backend_dev_t> &gpus) {
  if (gpus.empty()) {
    throw Error(
        "--split-mode row splits weights among GPUs, and llama.cpp finds none here: leave it out");
  }
  for (const ggml_backend_dev_t gpu : gpus) {
    const ggml_backend_reg_t backend = ggml_backend_dev_backend_reg(gpu);
    if (ggml_backend_reg_get_proc_address(backend, "ggml_backend_split_buffer_type") == nullptr) {
      throw Error(
          fmt::format("--split-mode row: the {} backend of this llama.cpp cannot split by "
                      "rows: take layer",
                      ggml_backend_reg_name(backend)));
    }
  }
}

}  // namespace

void set_devices(const Devices &devices, llama_model_params &params, std::vector<float> &shares) {
  const std::vector<ggml_backend_dev_t> here = find_gpus();
  const std::size_t gpus = here.size();
  if (devices.split_mode == LLAMA_SPLIT_MODE_ROW) check_splits_rows(here);
  if (devices.split_mode == LLAMA_SPLIT_MODE_NONE && devices.main_gpu > 0 &&
      static_cast<std::size_t>(devices.main_gpu) >= gpus) {
    throw Error(fmt::format("--main-gpu {}: llama.cpp finds {} {} here, counted from 0",
                            devices.main_gpu, gpus, gpus == 1 ? "GPU" : "GPUs"));
  }
  if (devices.tensor_split.size() > std::max<std::size_t>(gpus, 1)) {
    throw Error(fmt::format("--tensor-split has {} shares, and llama.cpp finds {} {} here",
                            devices.tensor_split.size(), gpus, gpus == 1 ? "GPU" : "GPUs"));
  }
  params.split_mode = devices.split_mode;
  params.main_gpu = devices.main_gpu;
  if (devices.tensor_split.empty()) return;
  shares = devices.tensor_split;
  shares.resize(std::max(llama_max_devices(), shares.size()), 0.0f);
  params.tensor_split = shares.data();
}

}  // namespace vase::engine
