// Ridge leverage of keys and values (vase-plus) as score/leverage.cpp has it: the inverse of the
// Cholesky factor of each Gram matrix. upright.cu has the keys, gram.cu the matrices; row_sums.cu
// takes the squared lengths of the rows times the factor, novelty.cu weighs those of the keys.
#include "core/leverage_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/products.cuh"
#include "cuda/upright.hpp"

namespace vase::cuda {
namespace {

constexpr int kThreads = kMostDim;  // one for each element of a row

/// Above and on the diagonal: m with the ridge becomes U, U^T U = m. A thread has a column and,
/// where columns are few, a part of the sums.
__device__ void factorise(float* m, int dim, int pitch) {
  __shared__ double parts[kThreads];
  __shared__ double root;
  const int thread = static_cast<int>(threadIdx.x);
  const int column = thread % pitch, part = thread / pitch, n_parts = kThreads / pitch;

  parts[thread] = thread < dim ? static_cast<double>(m[thread * pitch + thread]) : 0;
  __syncthreads();
  double trace = 0;
  for (const double element : parts) trace += element;
  const double ridge = ridge_of(trace, dim);
  __syncthreads();

  for (int k = 0; k < dim; ++k) {
    const bool mine = column >= k && column < dim;
    double sum = 0;
    if (mine)
#pragma unroll 8
      for (int i = part; i < k; i += n_parts)
        sum = fma(static_cast<double>(m[i * pitch + k]), static_cast<double>(m[i * pitch + column]),
                  sum);
    parts[thread] = sum;
    __syncthreads();
    double left = 0;
    if (part == 0 && mine) {
      left = static_cast<double>(m[k * pitch + column]) + (column == k ? ridge : 0.0);
      for (int p = 0; p < n_parts; ++p) left -= parts[p * pitch + column];
      if (column == k) root = sqrt(left);
    }
    __syncthreads();
    if (part == 0 && mine) m[k * pitch + column] = static_cast<float>(left / root);
    __syncthreads();
  }
}

/// Below and on the diagonal: the inverse of the transposed U, U itself above. A thread has a
/// column; those of a warp take the same steps, so that they read the same of U and neighbours
/// below.
__device__ void invert(float* m, int dim, int pitch) {
  __shared__ double inverses[kMostDim];  // of the diagonal
  const int column = static_cast<int>(threadIdx.x);
  if (column < dim) inverses[column] = 1 / static_cast<double>(m[column * pitch + column]);
  __syncthreads();
  if (column < dim) {
    const int first = column / kWarpLanes * kWarpLanes;
    for (int i = first + 1; i < dim; ++i) {
      double sum = 0;
#pragma unroll 8
      for (int k = first; k < i; ++k) {
        const float below = m[k * pitch + column];
        const double w = k > column    ? static_cast<double>(below)
                         : k == column ? inverses[column]
                                       : 0.0;
        sum = fma(static_cast<double>(m[k * pitch + i]), w, sum);
      }
      if (i > column) m[i * pitch + column] = static_cast<float>(-sum * inverses[i]);
    }
    m[column * pitch + column] = static_cast<float>(inverses[column]);
  }
}

/// Grid: units.
__global__ __launch_bounds__(kThreads) void factor_kernel(DeviceCall call, Scratch scratch, int dim,
                                                          int pitch) {
  const int unit = static_cast<int>(blockIdx.x);
  if (call.items[unit / call.n_heads].active == 0) return;
  float* m = scratch.grams + int64_t{unit} * pitch * pitch;
  factorise(m, dim, pitch);
  invert(m, dim, pitch);
}

void invert_factors(const DeviceCall& call, const RowShape& rows, const Scratch& scratch,
                    cudaStream_t stream) {
  factor_kernel<<<static_cast<unsigned>(call.units()), kThreads, 0, stream>>>(
      call, scratch, rows.dim, padded_dim(rows.dim));
  pack_factors(call, rows, scratch, stream);
}

void leverages_of_values(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  gram_matrices(call, true, scratch, stream);
  invert_factors(call, call.values, scratch, stream);
  factor_energies(call, true, scratch, stream);
}

/// Of the keys as they were before RoPE. All factors are found at once: that takes as long as one.
void leverages_of_keys(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  UprightKeys keys(call, scratch, stream);
  for (int32_t i = 0; i < keys.chunks(); ++i) {
    const UprightKeys::Chunk chunk = keys.turn_back(i);
    gram_matrices(chunk.call, false, chunk.scratch, stream);
  }
  invert_factors(call, keys.shape(), scratch, stream);
  // Backwards: the last chunk is still there.
  for (int32_t i = keys.chunks() - 1; i >= 0; --i) {
    const UprightKeys::Chunk chunk = keys.turn_back(i);
    factor_energies(chunk.call, false, chunk.scratch, stream);
    weigh_by_novelty(chunk.call, chunk.scratch, stream);
  }
}

}  // namespace

void ridge_leverages(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  leverages_of_keys(call, scratch, stream);
  leverages_of_values(call, scratch, stream);
}

}  // namespace vase::cuda
