// Weights of which the CPU backend makes a second copy.
#ifndef VASE_LLAMA_PLAN_REPACKED_HPP
#define VASE_LLAMA_PLAN_REPACKED_HPP

#include <cstddef>
#include <vector>

#include "llama/plan/gguf_file.hpp"

namespace vase {

/// Bytes of the model's `tensors` that ggml's CPU backend lays out anew for its matrix products
/// (llama.cpp's log calls the buffer CPU_REPACK, AMX or the like). The file is mapped as a whole,
/// so they come on top of the weights. Which ones they are depends on the processor; the backend is
/// asked for each tensor, as llama.cpp asks when it loads them. 0 where a GPU takes part, for then
/// llama.cpp prefers buffers that it can copy to the GPU fast.
size_t repacked_bytes(const std::vector<GgufFile::Tensor> &tensors);

}  // namespace vase

#endif
