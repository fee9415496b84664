// How much of what llama.cpp allocates goes to GPUs.
#ifndef VASE_LLAMA_PLAN_GPU_SHARE_HPP
#define VASE_LLAMA_PLAN_GPU_SHARE_HPP

#include <cstddef>
#include <string>

#include "llama.h"
#include "llama/plan/log_capture.hpp"

namespace vase {

/// The share of the layers that llama.cpp puts on GPUs, 0 to 1.
double share_on_gpus(const llama_model *model, const llama_model_params &params);

/// Weights of the model file at `path` that stay on the host wherever the layers go: the token
/// embedding. 0 where it is the output layer, too, since a copy of it goes with the layers.
size_t host_weights(const std::string &path);

/// Compute buffers on GPUs, as the log of a new context says.
size_t compute_on_gpus(const LogCapture &log);

}  // namespace vase

#endif
