// How far a row's value is from the mean value: what is lost with it if the others are all that is
// left.
#ifndef VASE_SCORE_DISTANCE_HPP
#define VASE_SCORE_DISTANCE_HPP

#include <span>

#include "core/arena.hpp"
#include "score/row_source.hpp"

namespace vase {

/// out[i] = |x_i - mean(x)|, the mean that of all candidates but spoilt ones, which have NaN. An
/// orthonormal rotation of all rows alike changes nothing. What it takes of the arena is free again
/// afterwards. out: [n].
void distance_from_mean(const RowSource& source, Arena arena, std::span<float> out);
size_t distance_from_mean_bytes(const vase_rows& rows);

}  // namespace vase

#endif
