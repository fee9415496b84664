// The rows of a head in the order of the tokens they stand for. Eviction moves rows into holes, so
// the order of cells says nothing about the order of tokens.
#ifndef VASE_CORE_TOKEN_ORDER_HPP
#define VASE_CORE_TOKEN_ORDER_HPP

#include <cstdint>
#include <span>

#include "core/arena.hpp"

namespace vase {

/// Writes to order[n] the row indices sorted by positions[n] ascending (equal positions keep their
/// row order). With no positions (empty span) row i stands for token i.
void token_order(std::span<const int32_t> positions, std::span<int32_t> order, Arena& arena);

/// Workspace that token_order takes for n rows.
size_t token_order_bytes(int32_t n);

}  // namespace vase

#endif
