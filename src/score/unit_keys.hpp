// Keys as unit vectors, for scores that look at cosines.
#ifndef VASE_SCORE_UNIT_KEYS_HPP
#define VASE_SCORE_UNIT_KEYS_HPP

#include <cmath>

namespace vase {

/// 1 / length of a vector, given its squared length; 1e-8 is added to the length as R-KV publishes
/// it, so that a vector of zeros has a cosine of 0 to all others.
inline float inverse_norm(float square) { return 1.0f / (std::sqrt(square) + 1e-8f); }

}  // namespace vase

#endif
