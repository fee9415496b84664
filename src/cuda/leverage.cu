// Ridge leverage of keys and values (vase-plus) as score/leverage.cpp has it: the inverse of the
// Cholesky factor of each Gram matrix, and the score of both. gram.cu has the matrices; row_sums.cu
// takes the squared lengths of the rows times the factor.
#include <cub/block/block_reduce.cuh>

#include "core/leverage_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/products.cuh"

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

using BlockSum = cub::BlockReduce<double, kThreads>;

struct SharedSum {
  typename BlockSum::TempStorage storage;
  double sum;
};

/// The sum of x over the threads, for all of them.
__device__ double block_sum(double x, SharedSum& shared) {
  x = BlockSum(shared.storage).Sum(x);
  if (threadIdx.x == 0) shared.sum = x;
  __syncthreads();
  return shared.sum;
}

/// As LogStandard of score/leverage.cpp: z of the logarithm, over the first `n` rows of `order`.
class LogStandard {
 public:
  __device__ LogStandard(const float* leverages, const int32_t* order, int n, SharedSum& shared) {
    const auto mean_of = [&](const auto& term) {
      double sum = 0;
      for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads)
        sum += term(log_of(leverages[order[i]]));
      return block_sum(sum, shared) / n;
    };
    mean_ = mean_of([](double x) { return x; });
    const double variance = mean_of([&](double x) { return (x - mean_) * (x - mean_); });
    deviation_ = fmax(sqrt(variance), kLowestDeviation);
  }
  __device__ double operator()(float leverage) const {
    return (log_of(leverage) - mean_) / deviation_;
  }

 private:
  __device__ static double log_of(float leverage) {
    return log(static_cast<double>(bounded_leverage(leverage)));
  }

  double mean_, deviation_;
};

/// scratch.first of the candidates becomes their score: combine_leverages() of score/leverage.cpp.
/// Grid: units.
__global__ __launch_bounds__(kThreads) void combine_kernel(DeviceCall call, Scratch scratch) {
  __shared__ SharedSum shared;
  const int unit = static_cast<int>(blockIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0) return;
  const int64_t first = int64_t{unit} * call.row_capacity;
  const int32_t* order = scratch.order + first;
  float *scores = scratch.first + first, *others = scratch.second + first;
  const int n = candidates_of(call, item);
  const LogStandard z_score(scores, order, n, shared), z_other(others, order, n, shared);
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads)
    scores[order[i]] = static_cast<float>(z_score(scores[order[i]]) + z_other(others[order[i]]));
}

}  // namespace

void ridge_leverages(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const auto units = static_cast<unsigned>(call.units());
  for (const bool values : {false, true}) {
    const RowShape& shape = values ? call.values : call.keys;
    gram_matrices(call, values, scratch, stream);
    factor_kernel<<<units, kThreads, 0, stream>>>(call, scratch, shape.dim, padded_dim(shape.dim));
    pack_factors(call, shape, scratch, stream);
    factor_energies(call, values, scratch, stream);
  }
  combine_kernel<<<units, kThreads, 0, stream>>>(call, scratch);
}

}  // namespace vase::cuda
