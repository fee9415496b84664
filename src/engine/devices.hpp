// Which devices a model lies on.
#pragma once

#include <cstdint>
#include <vector>

#include "llama.h"

namespace vase::engine {

/// llama.cpp's options of the same names.
struct Devices {
  llama_split_mode split_mode = LLAMA_SPLIT_MODE_LAYER;  ///< over several GPUs
  std::vector<float> tensor_split =
      {};                     ///< what each GPU gets, in proportion; empty: by free memory
  std::int32_t main_gpu = 0;  ///< with LLAMA_SPLIT_MODE_NONE: the one that has all
};

/// Writes them into `params`, which points into `shares` from then on. Throws Error if this machine
/// has not the devices, with what to do.
void set_devices(const Devices &devices, llama_model_params &params, std::vector<float> &shares);

}  // namespace vase::engine
