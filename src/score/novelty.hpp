// How far a row's key is from those that are newer: a key that came again is looked up in its newer
// rows.
#ifndef VASE_SCORE_NOVELTY_HPP
#define VASE_SCORE_NOVELTY_HPP

#include <span>

#include "core/arena.hpp"
#include "score/row_source.hpp"

namespace vase {

/// out[i] = (sum_j |x_i - x_j|^-6)^(-1/3) over the rows j that are newer than candidate i, among
/// the kNoveltyRows newest of the head, recency window included: the squared distance to the
/// nearest of them, and less if there are more as near. Squared distances below kLeastShare of the
/// keys' mean squared length count as that; where none is newer, it is far beyond any other. NaN
/// for spoilt rows, which are no neighbours of others either. What it takes of the arena is free
/// again afterwards. out: [n].
void novelty(const RowSource& source, Arena arena, std::span<float> out);
size_t novelty_bytes(const vase_rows& rows);

}  // namespace vase

#endif
