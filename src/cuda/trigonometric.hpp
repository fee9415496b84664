// What the kernels of TriAttention take.
#ifndef VASE_CUDA_TRIGONOMETRIC_HPP
#define VASE_CUDA_TRIGONOMETRIC_HPP

#include <cstdint>

namespace vase::cuda {

/// Sums of a query head's scores and of their squares, over some rows but the spoilt ones.
struct Sums {
  double scores, squares, rows;
};

/// Floats that the Sums of a KV head's query heads take.
constexpr int32_t usual_sums(int32_t group) {
  return group * static_cast<int32_t>(sizeof(Sums) / sizeof(float));
}

}  // namespace vase::cuda

#endif
