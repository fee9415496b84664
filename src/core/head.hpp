// What a policy sees: the candidates of one KV head, oldest token first.
#ifndef VASE_CORE_HEAD_HPP
#define VASE_CORE_HEAD_HPP

#include <cstdint>
#include <span>

#include "core/philox.hpp"
#include "vase/vase.h"

namespace vase {

struct Head {
  const vase_layer* layer;
  int32_t index;                                   ///< of the KV head in the layer
  std::span<const int32_t> rows;                   ///< [n] row of each candidate
  std::span<const int32_t> cells;                  ///< [n] cell of each candidate
  std::span<const int32_t> positions;              ///< [n] its token position, ascending
  std::span<const int32_t> recent_cells = {};      ///< cells of the recency window, oldest first
  std::span<const int32_t> recent_positions = {};  ///< its token positions

  int32_t size() const { return static_cast<int32_t>(rows.size()); }

  /// Query heads that share this KV head.
  int32_t group() const { return layer->n_query_heads / layer->n_heads; }

  /// [n_queries][dim] queries of the g-th query head of the group.
  const float* queries(int32_t g) const {
    const int64_t query_head = int64_t{index} * group() + g;
    return layer->queries + query_head * layer->n_queries * layer->keys.dim;
  }

  /// Random numbers of this eviction of this head, to be indexed by token position.
  PhiloxStream draws(uint64_t seed) const {
    return {seed,         PhiloxStream::Purpose::kDraw, layer->sequence, layer->eviction,
            layer->layer, static_cast<uint32_t>(index)};
  }
};

}  // namespace vase

#endif
