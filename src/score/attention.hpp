// The attention-window score of SnapKV, R-KV and VaSE: how much the newest queries attend to each
// candidate.
#ifndef VASE_SCORE_ATTENTION_HPP
#define VASE_SCORE_ATTENTION_HPP

#include <span>

#include "core/arena.hpp"
#include "core/head.hpp"
#include "score/kernels.hpp"

namespace vase {

/// out[i] = average over the query heads g of the group of
///            pool( average over the queries q of softmax_i(scale / temperature * q_g . k_i) )
/// The softmax runs over the candidates alone, in f32; the pooling is an average of `pooling`
/// neighbours in token order, with zeros beyond the ends, and always divides by `pooling`. (VaSE,
/// section 4; pooling from SnapKV. The averages over queries and heads commute with the pooling, so
/// it runs once, last.) Spoilt keys have no part in a softmax, and NaN for a weight; a query that
/// is not finite attends to all alike. keys: [n] rows of the candidates, as dense_keys gives them;
/// spoilt ones become NaN all over. out: [n]. every: only each so many-th query scores, the last
/// among them.
void attention_weights(const Head& head, const vase_params& params, const Kernels& kernels,
                       DenseRows keys, Arena& arena, std::span<float> out, int32_t every = 1);
size_t attention_weights_bytes(const vase_layer& layer, int32_t n);

/// The keys of all candidates, [n][keys.dim] padded to lanes, in the arena.
DenseRows dense_keys(const Head& head, const Kernels& kernels, Arena& arena);
size_t dense_keys_bytes(const vase_layer& layer, int32_t n);

}  // namespace vase

#endif
