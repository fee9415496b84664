// The score of VaSE+CUR: row leverage of keys and values, estimated by a random projection. Needs
// no queries.
#ifndef VASE_SCORE_CUR_HPP
#define VASE_SCORE_CUR_HPP

#include <span>

#include "core/arena.hpp"
#include "core/head.hpp"
#include "score/kernels.hpp"

namespace vase {

/// out[i] = |k_i G|^2 |v_i G|^2 with G ~ N(0, 1) / sqrt(projections), [dim][projections]. out: [n].
/// (VaSE, appendix on CUR; kvpress' CURPress. The published normalisation to sum 1 does not change
/// the order and is left out.) G is layer.gauss if set, else drawn anew for each eviction and layer
/// (params.resample) or once for each layer.
void cur_leverage(const Head& head, const vase_params& params, const Kernels& kernels, Arena& arena,
                  std::span<float> out);
size_t cur_leverage_bytes(const vase_params& params, const vase_layer& layer, int32_t n);

}  // namespace vase

#endif
