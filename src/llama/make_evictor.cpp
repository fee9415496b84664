#include <algorithm>
#include <cstring>
#include <memory>

#include "llama.h"
#include "llama/host_evictor.hpp"
#ifdef VASE_CUDA
#include "llama/cuda_evictor.hpp"
#endif

namespace vase {
namespace {

void warn(const char *text) {
  ggml_log_callback log = nullptr;
  void *data = nullptr;
  llama_log_get(&log, &data);
  if (log != nullptr) log(GGML_LOG_LEVEL_WARN, text, data);
}

/// vase-plus compares keys as they were before RoPE, where that is known.
void warn_of_unknown_rope(const vase_params &params, std::span<const CacheLayer> layers) {
  if (std::strcmp(vase_policy_name(params.policy), "vase-plus") != 0) return;
  if (std::ranges::any_of(layers, [](const CacheLayer &layer) { return layer.rope.unknown; }))
    warn(
        "vase: this model rotates its keys in a way that is not known here; vase-plus compares "
        "them as they are stored and keeps worse rows\n");
}

}  // namespace

std::unique_ptr<Evictor> make_evictor(const vase_params &params, std::span<const CacheLayer> layers,
                                      int32_t cells, int32_t n_sequences, int n_threads) {
  warn_of_unknown_rope(params, layers);
#ifdef VASE_CUDA
  if (CudaEvictor::reaches(layers))
    return std::make_unique<CudaEvictor>(params, layers, cells, n_sequences);
#endif
  auto evictor = std::make_unique<HostEvictor>(params, layers, cells, n_sequences, n_threads);
  if (evictor->works_on_copies())
    warn(
        "vase: the KV cache is not in host memory; evictions copy it to the host and back, which "
        "is slower\n");
  return evictor;
}

}  // namespace vase
