// Partial sums of the scalar kernels.
#ifndef VASE_SCORE_FOLD_HPP
#define VASE_SCORE_FOLD_HPP

#include <array>
#include <cstddef>

#include "score/matrices.hpp"

namespace vase {

using PartialSums = std::array<float, kLanes>;

/// Adds kLanes partial sums: the upper half onto the lower, until one is left.
inline float fold(PartialSums sums) {
  for (size_t half = kLanes / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; ++l) sums[l] += sums[l + half];
  return sums[0];
}

}  // namespace vase

#endif
