// How much of what llama.cpp allocates goes to GPUs.
#ifndef VASE_LLAMA_PLAN_GPU_SHARE_HPP
#define VASE_LLAMA_PLAN_GPU_SHARE_HPP

#include <cstddef>

#include "llama.h"
#include "llama/plan/log_capture.hpp"

namespace vase {

/// The share of the layers that llama.cpp puts on GPUs, 0 to 1.
double share_on_gpus(const llama_model *model, const llama_model_params &params);

/// Compute buffers on GPUs, as the log of a new context says.
size_t compute_on_gpus(const LogCapture &log);

}  // namespace vase

#endif
