#include "score/kernels.hpp"

#include "score/simd.hpp"

namespace vase {

const Kernels& best_kernels() {
  static const Kernels& best = simd_has_fma() ? simd_kernels() : reference_kernels();
  return best;
}

}  // namespace vase
