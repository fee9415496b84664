// The redundancy score of R-KV: how similar a key is to all the others.
#ifndef VASE_SCORE_REDUNDANCY_HPP
#define VASE_SCORE_REDUNDANCY_HPP

#include <span>

#include "core/arena.hpp"
#include "score/kernels.hpp"

namespace vase {

/// out[i] = softmax_i( 1/n sum_{j != i} cos(k_i, k_j) ), cos with norms + 1e-8 as R-KV publishes
/// it. The sum over j is k_i's unit vector times the sum of all unit vectors, less itself, so the n
/// x n matrix of the published code is never formed. Spoilt keys are similar to none, and NaN.
/// keys: [n] dense rows; spoilt ones become 0. out: [n].
void redundancy(DenseRows keys, const Kernels& kernels, Arena& arena, std::span<float> out);
size_t redundancy_bytes(const vase_layer& layer, int32_t n);

}  // namespace vase

#endif
