#include <memory>

#include "llama/keeper/host_evictor.hpp"
#include "llama/keeper/warnings.hpp"
#ifdef VASE_CUDA
#include "llama/keeper/cuda_evictor.hpp"
#endif

namespace vase {
std::unique_ptr<Evictor> make_evictor(const vase_params &params, std::span<const CacheLayer> layers,
                                      int32_t cells, int32_t n_sequences, int n_threads) {
#ifdef VASE_CUDA
  if (CudaEvictor::reaches(layers)) {
    if (vase_cuda_supports(params.policy) != 0)
      return std::make_unique<CudaEvictor>(params, layers, cells, n_sequences);
    warn_of_missing_kernels(params.policy);
  }
#endif
  auto evictor = std::make_unique<HostEvictor>(params, layers, cells, n_sequences, n_threads);
  if (evictor->works_on_copies())
    warn(
        "vase: the KV cache is not in host memory; evictions copy it to the host and back, which "
        "is slower\n");
  return evictor;
}

}  // namespace vase
