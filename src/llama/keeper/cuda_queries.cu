#include <algorithm>

#include "llama/keeper/cuda_queries.hpp"

namespace vase {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;

// A layer's query tensor and its rings, [sequences][window][heads][dim]; strides in bytes.
struct Source {
  const char *queries;
  int64_t token_stride, head_stride, stream_stride;
  float *rings;
};

// What a launch copies. It travels with the launch, whose parameters may take 4 KB.
constexpr size_t kLayersAtOnce = 40;
constexpr size_t kWantedAtOnce = 96;
struct Copies {
  Source layers[kLayersAtOnce];
  WantedQuery wanted[kWantedAtOnce];
};

// One block a wanted token (x) and layer (y).
__global__ void __launch_bounds__(kThreads)
    scatter_queries(const __grid_constant__ Copies copies, int window, int heads, int dim) {
  const Source &layer = copies.layers[blockIdx.y];
  const WantedQuery &query = copies.wanted[blockIdx.x];
  const char *token =
      layer.queries + query.stream * layer.stream_stride + query.token * layer.token_stride;
  float *slot =
      layer.rings + (static_cast<int64_t>(query.sequence) * window + query.slot) * heads * dim;
  for (int head = threadIdx.x / kWarp; head < heads; head += kThreads / kWarp) {
    const auto *from = reinterpret_cast<const float *>(token + head * layer.head_stride);
    for (int i = threadIdx.x % kWarp; i < dim; i += kWarp) slot[head * dim + i] = from[i];
  }
}

}  // namespace

CudaQueries::CudaQueries(size_t layers, int32_t n_sequences, int32_t window, int32_t heads,
                         int32_t dim)
    : n_sequences_(n_sequences),
      window_(window),
      heads_(heads),
      dim_(dim),
      rings_(layers * static_cast<size_t>(n_sequences) * static_cast<size_t>(window) *
             static_cast<size_t>(heads) * static_cast<size_t>(dim)) {}

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

cudaError_t CudaQueries::save(size_t layer, int32_t sequence, std::vector<float> &values) const {
  std::vector<float> ring_copy(static_cast<size_t>(ring_bytes()) / sizeof(float));
  if (ring_copy.empty()) return cudaSuccess;
  const cudaError_t status = cudaMemcpy(ring_copy.data(), ring(layer, sequence),
                                        static_cast<size_t>(ring_bytes()), cudaMemcpyDeviceToHost);
  for (int32_t head = 0; head < heads_; ++head)
    for (int32_t slot = 0; slot < window_; ++slot) {
      const auto first = ring_copy.begin() + (int64_t{slot} * heads_ + head) * dim_;
      values.insert(values.end(), first, first + dim_);
    }
  return status;
}

cudaError_t CudaQueries::restore(size_t layer, int32_t sequence, std::span<const float> values) {
  if (values.empty()) return cudaSuccess;
  std::vector<float> ring_copy(values.size());
  auto from = values.begin();
  for (int32_t head = 0; head < heads_; ++head)
    for (int32_t slot = 0; slot < window_; ++slot, from += dim_)
      std::copy_n(from, dim_, ring_copy.begin() + (int64_t{slot} * heads_ + head) * dim_);
  return cudaMemcpy(const_cast<float *>(ring(layer, sequence)), ring_copy.data(),
                    values.size_bytes(), cudaMemcpyHostToDevice);
}

cudaError_t CudaQueries::store(std::span<const LayerQueries> layers,
                               std::span<const WantedQuery> wanted, cudaStream_t stream) noexcept {
  Copies copies;
  for (size_t layer = 0; layer < layers.size(); layer += kLayersAtOnce) {
    const auto some = layers.subspan(layer, std::min(kLayersAtOnce, layers.size() - layer));
    std::ranges::transform(some, copies.layers, [&](const LayerQueries &from) {
      const ggml_tensor *q = from.queries;
      return Source{static_cast<const char *>(q->data), static_cast<int64_t>(q->nb[1]),
                    static_cast<int64_t>(q->nb[2]), static_cast<int64_t>(q->nb[3]),
                    const_cast<float *>(ring(from.layer, 0))};
    });
    for (size_t token = 0; token < wanted.size(); token += kWantedAtOnce) {
      const auto tokens = wanted.subspan(token, std::min(kWantedAtOnce, wanted.size() - token));
      std::ranges::copy(tokens, copies.wanted);
      const dim3 grid(static_cast<unsigned>(tokens.size()), static_cast<unsigned>(some.size()));
      scatter_queries<<<grid, kThreads, 0, stream>>>(copies, window_, heads_, dim_);
    }
  }
  return cudaGetLastError();
}

}  // namespace vase
