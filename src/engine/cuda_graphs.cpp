#include "engine/cuda_graphs.hpp"

#include <cstdlib>

namespace vase::engine {

void avoid_cuda_graphs(std::int32_t contexts, std::int32_t sequences) {
  constexpr std::int32_t kSafe = 64;  // it died with 76 to 87 at work, and never with 64
  constexpr int kUnlessSet = 0;
  if (contexts > 1 || sequences > kSafe) setenv("GGML_CUDA_DISABLE_GRAPHS", "1", kUnlessSet);
}

}  // namespace vase::engine
