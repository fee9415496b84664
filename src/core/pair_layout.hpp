// Which elements of a key RoPE turns together, and pairs of those that it leaves.
#ifndef VASE_CORE_PAIR_LAYOUT_HPP
#define VASE_CORE_PAIR_LAYOUT_HPP

#include <cstdint>

#include "vase/vase.h"

namespace vase {

/// All elements of a row in pairs, the turned ones first: `apart` pairs (i, i + stride), then
/// neighbours from `neighbours_from` on. An odd last element has no partner.
struct PairLayout {
  int32_t pairs;   ///< in all: half of the elements
  int32_t turned;  ///< the first pairs, which RoPE turned
  int32_t apart;
  int32_t stride;
  int32_t neighbours_from;

  constexpr int32_t first(int32_t pair) const {
    return pair < apart ? pair : neighbours_from + 2 * (pair - apart);
  }
  constexpr int32_t second(int32_t pair) const { return first(pair) + (pair < apart ? stride : 1); }
};

/// Of rows of `dim` elements. What is apart goes on behind the turned pairs where there are
/// elements for it.
constexpr PairLayout pair_layout(int32_t turned, int32_t stride, int32_t dim) {
  if (turned == 0 || stride == 1) return {dim / 2, turned, 0, 1, 0};
  const int32_t beyond = dim - stride;
  if (stride > beyond) return {dim / 2, turned, beyond, stride, beyond};
  return {dim / 2, turned, stride, stride, 2 * stride};
}

inline PairLayout pair_layout(const vase_rope& rope, int32_t dim) {
  return pair_layout(rope.frequencies != nullptr ? rope.pairs : 0, rope.stride, dim);
}

}  // namespace vase

#endif
