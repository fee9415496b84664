// Ridge leverage of keys and values (vase-plus) as score/leverage.cpp has it: the inverse of the
// Cholesky factor of each Gram matrix, in f32, for which the ridge bounds the condition well
// enough. upright.cu has the keys, gram.cu the matrices; row_sums.cu takes the squared lengths of
// the values times the factor, novel_leverage.cu those of the keys, and their novelty.
#include "core/leverage_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/products.cuh"
#include "cuda/upright.hpp"

namespace vase::cuda {
namespace {

/// How a matrix is cut for a block of threads: a square patch for each. A row's patches lie in
/// neighbouring lanes of a warp.
template <int kDim>
struct Cut {
  static constexpr int kPatch = kSegment;
  static constexpr int kAcross = kDim / kPatch;  // patches in a row or column of them
  static constexpr int kThreads = kAcross * kAcross;
  static constexpr int kBlocks = kDim <= 64 ? 8 : kDim <= 128 ? 2 : 1;  // of a multiprocessor
  static_assert(kWarpLanes % kAcross == 0);
};

/// A Gram matrix with its ridge in the registers of a block, and what becomes of it.
template <int kDim>
class Factor {
  using C = Cut<kDim>;

 public:
  struct Shared {
    /// The rows by which those below are eliminated; the next ones meanwhile.
    alignas(16) float rows[2][C::kPatch][kDim];
    float diagonal[kDim];
  };

  /// Upper triangle of m [kDim][kDim] less n mean mean^T; elements from `dim` on stay apart from
  /// all others.
  __device__ void load(const float* m, const float* mean, int n, int dim, Shared& shared) {
#pragma unroll
    for (int r = 0; r < C::kPatch; ++r) {
      const float share = -mean[row(r)] * static_cast<float>(n);
#pragma unroll
      for (int c = 0; c < C::kPatch; ++c) {
        const int i = row(r), j = column(c);
        m_[r][c] = fmaf(share, mean[j], m[min(i, j) * kDim + max(i, j)]);
        if (i == j) shared.diagonal[i] = i < dim ? m_[r][c] : 0.0f;
      }
    }
    __syncthreads();
    float trace = 0;
    for (const float element : shared.diagonal) trace += element;
    const auto ridge = static_cast<float>(ridge_of(static_cast<double>(trace), dim));
#pragma unroll
    for (int r = 0; r < C::kPatch; ++r)
#pragma unroll
      for (int c = 0; c < C::kPatch; ++c)
        if (row(r) == column(c)) m_[r][c] = row(r) < dim ? m_[r][c] + ridge : 1.0f;
    __syncthreads();  // the diagonal is read
  }

  /// m = L D L^T by Gaussian elimination; what the same steps make of the unit matrix, L^-1, grows
  /// in the place of what they eliminate. The diagonal becomes D. The rows of a patch first
  /// eliminate each other, within a group of lanes, then all rows below.
  __device__ void invert(Shared& shared) {
    for (int block = 0; block < C::kAcross; ++block) {
      auto& rows = shared.rows[block % 2];
      if (across() == block) {
        eliminate_within(block);
#pragma unroll
        for (int r = 0; r < C::kPatch; ++r)
#pragma unroll
          for (int c = 0; c < C::kPatch; ++c) {
            rows[r][column(c)] = m_[r][c];
            if (along() == block && c == r) shared.diagonal[row(r)] = m_[r][c];
          }
      }
      __syncthreads();
      if (across() <= block) continue;  // no row below
#pragma unroll
      for (int r = 0; r < C::kPatch; ++r) eliminate_by(rows[r], block, r);
    }
    __syncthreads();
  }

  /// D^(-1/2) L^-1, the inverse of the transposed Cholesky factor, a row of it a vector of set
  /// `unit`: split into planes, with its product with the mean.
  __device__ void store(const Vectors& vectors, bool half, const float* mean, int unit,
                        const Scratch& scratch, const Shared& shared) const {
    auto* planes = reinterpret_cast<uint4*>(scratch.planes);
    constexpr int kPieces = kDim / kSegment;  // of a row
#pragma unroll
    for (int r = 0; r < C::kPatch; ++r) {
      const int i = row(r);
      const float scale = i < vectors.count ? 1.0f / sqrtf(shared.diagonal[i]) : 0.0f;
      float x[C::kPatch], largest = 0, offset = 0;
#pragma unroll
      for (int c = 0; c < C::kPatch; ++c) {
        const int j = column(c);
        x[c] = j > i ? 0.0f : j == i ? scale : m_[r][c] * scale;
        largest = fmaxf(largest, fabsf(x[c]));
        offset = fmaf(x[c], mean[j], offset);
      }
      for (int step = C::kAcross / 2; step > 0; step /= 2) {
        largest = fmaxf(largest, __shfl_xor_sync(kFullWarp, largest, step));
        offset += __shfl_xor_sync(kFullWarp, offset, step);
      }
      const float power = normalising_power(largest);
#pragma unroll
      for (float& e : x) e *= power;
      if (i >= vectors.padded) continue;
      const int64_t first = int64_t{unit} * vectors.planes * vectors.padded + i;
      for (int p = 0; p < vectors.planes; ++p)
        planes[(first + p * vectors.padded) * kPieces + along()] =
            half ? take_plane<true>(x) : take_plane<false>(x);
      if (along() == 0)
        scratch.constants[int64_t{unit} * vectors.padded + i] = {
            i < vectors.count ? 1.0f / power : 0.0f, offset, 0.0f, 0.0f};
    }
  }

 private:
  float m_[C::kPatch][C::kPatch];

  __device__ static int across() { return static_cast<int>(threadIdx.x) / C::kAcross; }
  __device__ static int along() { return static_cast<int>(threadIdx.x) % C::kAcross; }
  __device__ static int row(int r) { return across() * C::kPatch + r; }
  __device__ static int column(int c) { return along() * C::kPatch + c; }

  /// Subtracts from row r of this thread as much of row k as makes its element k vanish: by
  /// symmetry that is `factor`, element r of row k over element k. `elements`: row k in this
  /// thread's columns. kc: k's place in the patch of the threads that have it.
  __device__ void eliminate(int r, float factor, const float (&elements)[C::kPatch], bool has_k,
                            int kc) {
#pragma unroll
    for (int c = 0; c < C::kPatch; ++c) {
      const bool at_k = has_k && c == kc;
      m_[r][c] = fmaf(-factor, at_k ? 1.0f : elements[c], at_k ? 0.0f : m_[r][c]);
    }
  }

  /// The rows of patch `block` by each other: by the lanes that have them.
  __device__ void eliminate_within(int block) {
    const unsigned group = kFullWarp >> (kWarpLanes - C::kAcross)
                                            << (threadIdx.x % kWarpLanes / C::kAcross * C::kAcross);
    const auto of_diagonal = [&](float x) { return __shfl_sync(group, x, block, C::kAcross); };
#pragma unroll
    for (int k = 0; k < C::kPatch; ++k) {
      const float inverse = __fdividef(1.0f, of_diagonal(m_[k][k]));
#pragma unroll
      for (int r = k + 1; r < C::kPatch; ++r)
        eliminate(r, of_diagonal(m_[k][r]) * inverse, m_[k], along() == block, k);
    }
  }

  /// All rows of this thread by row `k` of patch `block`.
  __device__ void eliminate_by(const float (&by)[kDim], int block, int k) {
    const float inverse = __fdividef(1.0f, by[block * C::kPatch + k]);
    float elements[C::kPatch];
#pragma unroll
    for (int c = 0; c < C::kPatch; ++c) elements[c] = by[column(c)];
#pragma unroll
    for (int r = 0; r < C::kPatch; ++r)
      eliminate(r, by[row(r)] * inverse, elements, along() == block, k);
  }
};

/// Grid: units.
template <int kDim>
__global__ __launch_bounds__(Cut<kDim>::kThreads,
                             Cut<kDim>::kBlocks) void factor_kernel(DeviceCall call,
                                                                    Vectors vectors, bool half,
                                                                    Scratch scratch, int dim) {
  __shared__ typename Factor<kDim>::Shared shared;
  const int unit = static_cast<int>(blockIdx.x);
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int candidates = candidates_of(call, item);
  if (item.active == 0 || candidates == 0) return;
  const float* mean = scratch.means + int64_t{unit} * kMostDim;
  Factor<kDim> factor;
  factor.load(scratch.grams + int64_t{unit} * kDim * kDim, mean, candidates, dim, shared);
  factor.invert(shared);
  factor.store(vectors, half, mean, unit, scratch, shared);
}

/// `dim`: elements of a row that are not there for the kernels' sake.
void invert_factors(const DeviceCall& call, const RowShape& rows, int dim, const Scratch& scratch,
                    cudaStream_t stream) {
  with_dim(padded_dim(rows.dim), [&]<int kDim>() {
    factor_kernel<kDim><<<static_cast<unsigned>(call.units()), Cut<kDim>::kThreads, 0, stream>>>(
        call, factors_of(call, rows), takes_half(rows.type), scratch, dim);
  });
}

void leverages_of_values(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  gram_matrices_of_values(call, scratch, stream);
  invert_factors(call, call.values, call.values.dim, scratch, stream);
  value_leverages(call, scratch, stream);
}

/// Of the keys as they were before RoPE.
void leverages_of_keys(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  UprightKeys keys(call, scratch, stream);
  for (int32_t i = 0; i < keys.chunks(); ++i) {
    const UprightKeys::Chunk chunk = keys.turn_back(i);
    gram_matrices_of_keys(chunk.call, chunk.scratch, stream);
    invert_factors(chunk.call, keys.shape(), call.keys.dim, chunk.scratch, stream);
    novel_leverages(chunk.call, chunk.scratch, stream);
  }
}

}  // namespace

void ridge_leverages(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  leverages_of_keys(call, scratch, stream);
  leverages_of_values(call, scratch, stream);
}

}  // namespace vase::cuda
