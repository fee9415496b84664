// The instruction sets that kernels are compiled for; to be included before any header of Highway.
#ifndef VASE_SCORE_SIMD_TARGETS_HPP
#define VASE_SCORE_SIMD_TARGETS_HPP

// Vectors of unknown length do not fit the fixed groups; x86 without AVX2 has no FMA, there the
// reference runs.
#define HWY_DISABLED_TARGETS \
  (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_SSSE3 | HWY_SSE4)

#endif
