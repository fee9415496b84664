// The newest queries of every sequence, in the memory of the device whose layers they belong to.
#ifndef VASE_LLAMA_KEEPER_CUDA_QUERIES_HPP
#define VASE_LLAMA_KEEPER_CUDA_QUERIES_HPP

#include <cstdint>
#include <span>
#include <vector>

#include "llama/graph/query_store.hpp"
#include "llama/keeper/cuda_device.hpp"

namespace vase {

/// For each of some layers of one shape and each sequence a ring [window][n_query_heads][dim] of
/// f32, as the tokens lie in llama.cpp's query tensors.
class CudaQueries {
 public:
  CudaQueries() = default;
  /// On the current device.
  CudaQueries(size_t layers, int32_t n_sequences, int32_t window, int32_t heads, int32_t dim);

  size_t bytes() const { return rings_.bytes(); }
  const float *ring(size_t layer, int32_t sequence) const;
  int64_t head_stride() const { return int64_t{dim_} * int64_t{sizeof(float)}; }
  int64_t token_stride() const { return heads_ * head_stride(); }
  int64_t ring_bytes() const { return window_ * token_stride(); }

  /// Gives `to` the queries of `from`, on `stream`.
  cudaError_t copy(int32_t from, int32_t to, cudaStream_t stream) noexcept;
  /// Appends the ring of a sequence to `values`, as [heads][window][dim].
  cudaError_t save(size_t layer, int32_t sequence, std::vector<float> &values) const;
  /// Takes back what save() gave.
  cudaError_t restore(size_t layer, int32_t sequence, std::span<const float> values);
  /// As QueryStore::store, for tensors on this device; layers as they are numbered here. Queues
  /// copies; the tensors may be overwritten when `stream` is done.
  cudaError_t store(std::span<const LayerQueries> layers, std::span<const WantedQuery> wanted,
                    cudaStream_t stream) noexcept;

 private:
  int32_t n_sequences_ = 0, window_ = 0, heads_ = 0, dim_ = 0;
  DeviceArray<float> rings_;
};

}  // namespace vase

#endif
