// CUDA graphs in llama.cpp, and when they are not safe.
#pragma once

#include <cstdint>

namespace vase::engine {

/// Tells llama.cpp 0.3.36 not to record CUDA graphs if it would die of them: with several contexts
/// in one process, and with one of many sequences, once the number of those that want logits
/// changes ("an illegal instruction was encountered"; bench/side_by_side.cpp shows it without us,
/// docs/performance.md has the numbers). With so many sequences they gain nothing. Call it before
/// init_llama(). Does nothing if the user has set GGML_CUDA_DISABLE_GRAPHS.
void avoid_cuda_graphs(std::int32_t contexts, std::int32_t sequences);

}  // namespace vase::engine
