#include <algorithm>
#include <cstring>

#include "llama/cuda_queries.hpp"

namespace vase {
namespace {

constexpr int kThreads = 256;
// Tokens whose places are uploaded at once; the rest follows in another launch.
constexpr size_t kWantedAtOnce = 4096;

// One block a wanted token. `ring` is the layer's [sequences][window][heads][dim]; strides in
// bytes.
__global__ void scatter_queries(const char *queries, int64_t token_stride, int64_t head_stride,
                                int64_t stream_stride, const WantedQuery *wanted, float *ring,
                                int window, int heads, int dim) {
  const WantedQuery query = wanted[blockIdx.x];
  const char *token = queries + query.stream * stream_stride + query.token * token_stride;
  float *slot = ring + (static_cast<int64_t>(query.sequence) * window + query.slot) * heads * dim;
  for (int i = threadIdx.x; i < heads * dim; i += blockDim.x)
    slot[i] = reinterpret_cast<const float *>(token + (i / dim) * head_stride)[i % dim];
}

}  // namespace

CudaQueries::CudaQueries(size_t layers, int32_t n_sequences, int32_t window, int32_t heads,
                         int32_t dim)
    : n_sequences_(n_sequences),
      window_(window),
      heads_(heads),
      dim_(dim),
      rings_(layers * static_cast<size_t>(n_sequences) * static_cast<size_t>(window) *
             static_cast<size_t>(heads) * static_cast<size_t>(dim)),
      wanted_(window > 0 ? kWantedAtOnce : 0) {
  wanted_copy_.reserve(wanted_.size());
}

const float *CudaQueries::ring(size_t layer, int32_t sequence) const {
  if (rings_.size() == 0) return nullptr;
  const size_t ring = layer * static_cast<size_t>(n_sequences_) + static_cast<size_t>(sequence);
  return rings_.data() + ring * static_cast<size_t>(window_) * static_cast<size_t>(heads_) *
                             static_cast<size_t>(dim_);
}

cudaError_t CudaQueries::copy(int32_t from, int32_t to, cudaStream_t stream) noexcept {
  if (rings_.size() == 0) return cudaSuccess;
  const size_t sequences = static_cast<size_t>(n_sequences_);
  const size_t layers = rings_.bytes() / sequences / static_cast<size_t>(ring_bytes());
  for (size_t layer = 0; layer < layers; ++layer) {
    const cudaError_t status =
        cudaMemcpyAsync(const_cast<float *>(ring(layer, to)), ring(layer, from),
                        static_cast<size_t>(ring_bytes()), cudaMemcpyDeviceToDevice, stream);
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}

cudaError_t CudaQueries::store(size_t layer, const ggml_tensor *q,
                               std::span<const WantedQuery> wanted, cudaStream_t stream) noexcept {
  for (size_t first = 0; first < wanted.size(); first += kWantedAtOnce) {
    const auto part = wanted.subspan(first, std::min(kWantedAtOnce, wanted.size() - first));
    if (!std::equal(part.begin(), part.end(), wanted_copy_.begin(), wanted_copy_.end())) {
      // The copy below reads the host's memory when it is called, not later: it is pageable.
      wanted_copy_.assign(part.begin(), part.end());
      const cudaError_t status = cudaMemcpyAsync(wanted_.data(), wanted_copy_.data(),
                                                 part.size_bytes(), cudaMemcpyHostToDevice, stream);
      if (status != cudaSuccess) return status;
    }
    scatter_queries<<<static_cast<unsigned>(part.size()), kThreads, 0, stream>>>(
        static_cast<const char *>(q->data), static_cast<int64_t>(q->nb[1]),
        static_cast<int64_t>(q->nb[2]), static_cast<int64_t>(q->nb[3]), wanted_.data(),
        const_cast<float *>(ring(layer, 0)), window_, heads_, dim_);
  }
  return cudaGetLastError();
}

}  // namespace vase
