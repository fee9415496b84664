// Products of rows with vectors on the tensor cores (mma m16n8k16, f32 sums).
//
// A lane's share of an operand is 8 consecutive elements of a row or vector for each chunk of 32:
// the order in which a product takes its elements is free as long as both operands agree, and this
// one needs neither shuffles nor ldmatrix. Lane l works on row (or column) l / 4 and segment l % 4.
#ifndef VASE_CUDA_PRODUCTS_CUH
#define VASE_CUDA_PRODUCTS_CUH

#include "cuda/segment.cuh"
#include "cuda/vectors.hpp"

namespace vase::cuda {

constexpr int kWarpLanes = 32;
constexpr unsigned kFullWarp = 0xffffffffu;

template <bool kHalf>
__device__ inline void multiply_add(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                    uint32_t a3, uint32_t b0, uint32_t b1) {
  if constexpr (kHalf)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/// c += half a chunk (16 elements) of 16 rows (low: rows 0 - 7, high: rows 8 - 15) times that of 8
/// columns.
template <bool kHalf>
__device__ inline void multiply_add_half(float (&c)[4], const uint4& low, const uint4& high,
                                         const uint4& column, int half) {
  if (half == 0)
    multiply_add<kHalf>(c, low.x, high.x, low.y, high.y, column.x, column.y);
  else
    multiply_add<kHalf>(c, low.z, high.z, low.w, high.w, column.z, column.w);
}

/// The streamed operand in shared memory: out = this lane's segments of chunk `chunk` of kColumns
/// tiles of 8 columns from `first` on.
template <int kPlanes, int kColumns, int kCount, int kPitch>
__device__ inline void load_columns(const std::byte (&planes)[kPlanes][kCount][kPitch], int first,
                                    int chunk, uint4 (&out)[kPlanes][kColumns]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
#pragma unroll
  for (int p = 0; p < kPlanes; ++p)
#pragma unroll
    for (int n = 0; n < kColumns; ++n)
      out[p][n] = *reinterpret_cast<const uint4*>(
          &planes[p][first + n * 8 + lane / 4][chunk * kChunk * 2 + lane % 4 * 16]);
}

/// sums += a chunk of the operand held in registers (16 rows a tile) times that of the streamed one
/// (8 columns a tile), over the pairs of planes that count. Products that follow each other go to
/// different sums, so that none need wait for the one before.
template <bool kHalf, int kPairs, int kHeld, int kTiles, int kChunks, int kStreamed, int kColumns>
__device__ inline void multiply_chunk(const uint4 (&held)[kHeld][kTiles][kChunks][2], int chunk,
                                      const uint4 (&streamed)[kStreamed][kColumns],
                                      float (&sums)[kTiles][kColumns][4]) {
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int a = 0; a < kHeld; ++a)
#pragma unroll
      for (int b = 0; b < kStreamed && a + b < kPairs; ++b)
#pragma unroll
        for (int n = 0; n < kColumns; ++n)
#pragma unroll
          for (int t = 0; t < kTiles; ++t)
            multiply_add_half<kHalf>(sums[t][n], held[a][t][chunk][0], held[a][t][chunk][1],
                                     streamed[b][n], half);
}

/// 2^x as the hardware has it, off by at most 2 units in the last place.
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Calls use.operator()<dim>() for a dimension that the kernels are compiled for (padded_dim).
template <typename Use>
void with_dim(int dim, const Use& use) {
  if (dim == 64)
    use.template operator()<64>();
  else if (dim == 128)
    use.template operator()<128>();
  else
    use.template operator()<256>();
}

/// Calls use.operator()<T, dim, full>() for rows of `shape` beside vectors of `dim` elements.
/// Of rows up to kPiece elements, as with_dim().
template <typename Use>
void with_row_shape(const RowShape& shape, int dim, const Use& use) {
  with_type(shape.type, [&]<vase_type T>() {
    with_dim(dim, [&]<int kDim>() {
      if (full_rows(shape, kDim))
        use.template operator()<T, kDim, true>();
      else
        use.template operator()<T, kDim, false>();
    });
  });
}

/// Bytes from vector to vector in shared memory: two neighbours share no bank.
constexpr int pitch_bytes(int dim) { return dim * 2 + 64; }

}  // namespace vase::cuda

#endif
