#include "score/kernels.hpp"

#ifdef VASE_HAS_SIMD
#include "score/simd.hpp"
#endif

namespace vase {

const Kernels& best_kernels() {
#ifdef VASE_HAS_SIMD
  static const Kernels& best = simd_has_fma() ? simd_kernels() : reference_kernels();
  return best;
#else
  return reference_kernels();
#endif
}

}  // namespace vase
