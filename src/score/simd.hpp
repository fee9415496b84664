// The kernels with Highway, for the best instruction set of the machine that runs them.
#ifndef VASE_SCORE_SIMD_HPP
#define VASE_SCORE_SIMD_HPP

#include "score/kernels.hpp"

namespace vase {

const Kernels& simd_kernels();

/// Whether those kernels fuse multiply and add, without which their results differ from the
/// reference's.
bool simd_has_fma();

}  // namespace vase

#endif
