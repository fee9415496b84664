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

/// 2^x as the hardware has it, off by at most 2 units in the last place.
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Bytes from vector to vector in shared memory: two neighbours share no bank.
constexpr int pitch_bytes(int dim) { return dim * 2 + 64; }

}  // namespace vase::cuda

#endif
