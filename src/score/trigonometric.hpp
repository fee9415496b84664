// The score of TriAttention: how much the queries that a head usually has would attend to a key, at
// distances to come. Needs no queries, but what was measured of them before.
#ifndef VASE_SCORE_TRIGONOMETRIC_HPP
#define VASE_SCORE_TRIGONOMETRIC_HPP

#include <span>

#include "core/arena.hpp"
#include "core/head.hpp"
#include "score/kernels.hpp"

namespace vase {

/// out[i] = max over the query heads g of the group of the standard score, among the candidates, of
///   mean_o( sum_f Re( q_f conj(k_f) e^(i w_f (t - p_i + o)) ) ) + sum_f (l_f - |q_f|) |k_f|
/// with k the key before RoPE, in complex pairs f of frequency w_f; p_i its token position, t that
/// of the coming token; o = 1, 2, 4, ... ; q the mean query of the head before RoPE and l the mean
/// length of its pairs (vase_layer.calibration). (TriAttention, arXiv 2604.04921, in the published
/// variant where each layer and head chooses for itself.) Elements that RoPE does not turn are
/// pairs of frequency 0. Spoilt rows have no part in it, and score NaN.
///
/// k_f e^(-i w_f p) conjugated is the stored key, and the rest of the exponent does not depend on
/// the row: so the first sum is a product of the stored key with one vector. out: [n].
void trigonometric(const Head& head, const Kernels& kernels, Arena arena, std::span<float> out);
size_t trigonometric_bytes(const vase_layer& layer, int32_t n);

}  // namespace vase

#endif
