// The score of vase-plus: how far a row's key and value lie in directions that few other rows have.
// Needs no queries.
#ifndef VASE_SCORE_LEVERAGE_HPP
#define VASE_SCORE_LEVERAGE_HPP

#include <span>

#include "core/arena.hpp"
#include "score/row_source.hpp"

namespace vase {

/// out[i] = y_i^T (Y^T Y + r I)^-1 y_i, the ridge leverage of candidate i (Alaoui and Mahoney 2015,
/// arXiv 1411.0306), with y_i = x_i less the mean of all candidates' rows and r = trace(Y^T Y) /
/// dim. An orthonormal rotation of all rows alike changes nothing. What it takes of the arena is
/// free again afterwards. out: [n].
void ridge_leverage(const RowSource& source, Arena arena, std::span<float> out);
size_t ridge_leverage_bytes(const vase_rows& rows);

/// scores[i] = scores[i] * others[i], both [n] leverages, each at least kLowestLeverage.
void multiply_leverages(std::span<float> scores, std::span<const float> others);

}  // namespace vase

#endif
