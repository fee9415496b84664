// The score of vase-plus: how far a row's key and value lie in directions that few other rows have.
// Needs no queries.
#ifndef VASE_SCORE_LEVERAGE_HPP
#define VASE_SCORE_LEVERAGE_HPP

#include <span>

#include "core/arena.hpp"
#include "core/head.hpp"
#include "score/kernels.hpp"

namespace vase {

/// out[i] = y_i^T (Y^T Y + r I)^-1 y_i, the ridge leverage of candidate i (Alaoui and Mahoney 2015,
/// arXiv 1411.0306), with y_i = x_i less the mean of all candidates' rows and r = trace(Y^T Y) /
/// dim. `rows`: the keys or the values of head.layer, as they are stored: an orthonormal rotation
/// of all rows changes nothing. What it takes of the arena is free again afterwards. out: [n].
void ridge_leverage(const Head& head, const vase_rows& rows, const Kernels& kernels, Arena arena,
                    std::span<float> out);
size_t ridge_leverage_bytes(const vase_rows& rows);

/// scores[i] = z(log scores[i]) + z(log others[i]), where z subtracts the mean of all candidates
/// and divides by their standard deviation (at least 0.05). Both: [n], leverages.
void combine_leverages(std::span<float> scores, std::span<const float> others);

}  // namespace vase

#endif
