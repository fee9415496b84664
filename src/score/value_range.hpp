// The outlier test of VaSE: how far apart the largest and the smallest element of a value row are.
#ifndef VASE_SCORE_VALUE_RANGE_HPP
#define VASE_SCORE_VALUE_RANGE_HPP

#include <span>

#include "core/arena.hpp"
#include "core/head.hpp"
#include "score/kernels.hpp"

namespace vase {

/// out[i] = max_d V[i,d] - min_d V[i,d], on true (un-rotated) values, NaN for rows that
/// are spoilt. out: [n]. (VaSE, section 3.)
void value_range(const Head& head, const Kernels& kernels, Arena& arena, std::span<float> out);
size_t value_range_bytes(const vase_layer& layer);

}  // namespace vase

#endif
