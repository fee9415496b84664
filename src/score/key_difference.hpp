// The score of KeyDiff: how little a key looks like the mean of all keys. Needs no queries.
#ifndef VASE_SCORE_KEY_DIFFERENCE_HPP
#define VASE_SCORE_KEY_DIFFERENCE_HPP

#include <span>

#include "core/arena.hpp"
#include "core/head.hpp"
#include "score/kernels.hpp"

namespace vase {

/// out[i] = -cos(k_i, a), a the mean of the unit keys k_j / |k_j| over all rows of the head, the
/// recency window included but the spoilt ones, whose score is NaN. (KeyDiff, arXiv 2504.15364;
/// kvpress' KeyDiffPress.) An orthonormal rotation of all keys alike changes nothing. What it takes
/// of the arena is free again afterwards. out: [n].
void key_difference(const Head& head, const Kernels& kernels, Arena arena, std::span<float> out);
size_t key_difference_bytes(const vase_layer& layer);

}  // namespace vase

#endif
