#include "engine/devices.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ggml-backend.h"
#include "vase/llama.hpp"

namespace vase::engine {
namespace {

std::size_t count_gpus() {
  std::size_t count = 0;
  for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i)
    count += ggml_backend_dev_type(ggml_backend_dev_get(i)) == GGML_BACKEND_DEVICE_TYPE_GPU;
  return count;
}

}  // namespace

void set_devices(const Devices &devices, llama_model_params &params, std::vector<float> &shares) {
  const std::size_t gpus = count_gpus();
  if (devices.split_mode == LLAMA_SPLIT_MODE_ROW && gpus == 0) {
    throw Error(
        "--split-mode row splits weights among GPUs, and llama.cpp finds none here: leave "
        "it out");
  }
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
