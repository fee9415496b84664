// Keys as they were before RoPE turned them, for scores by novelty: two rows of the same content at
// two places are the same there. Oldest first, less a rough centre, rounded to f16 as most caches
// have them anyway, so that the tensor cores can take them.
#ifndef VASE_CUDA_UPRIGHT_HPP
#define VASE_CUDA_UPRIGHT_HPP

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/device_call.hpp"
#include "cuda/vectors.hpp"

namespace vase::cuda {

/// Elements from row to row, zeros behind the last of `dim`.
constexpr int32_t upright_pitch(int32_t dim) { return padded_dim(dim); }
/// Elements of an item: [heads][rows][pitch].
constexpr int64_t upright_elements(int32_t n_heads, int32_t n_rows, int32_t dim) {
  return int64_t{n_heads} * n_rows * upright_pitch(dim);
}

/// The keys of a call, turned back in scratch.upright (as they are stored, if nobody knows how they
/// were turned), as many items at a time as it holds. Call and scratch must outlive this.
class UprightKeys {
 public:
  /// A part of the call whose items have their keys in scratch.upright, and its units' part of the
  /// scratch arrays that hold their order, novelty and squares. It may be read until the next call
  /// of turn_back().
  struct Chunk {
    DeviceCall call;
    Scratch scratch;
  };

  UprightKeys(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);

  int32_t chunks() const;
  Chunk turn_back(int32_t index) const;

 private:
  const DeviceCall& call_;
  const Scratch& scratch_;
  cudaStream_t stream_;
  int32_t room_;  ///< items of a chunk
};

}  // namespace vase::cuda

#endif
