// What llama.cpp's graph says of how rows are rotated before they are written into a cache.
#ifndef VASE_LLAMA_GRAPH_ROTATIONS_HPP
#define VASE_LLAMA_GRAPH_ROTATIONS_HPP

#include <cstdint>

#include "ggml.h"
#include "llama/graph/cache_layer.hpp"

namespace vase {

/// llama.cpp multiplies what it writes into a quantised cache by a Hadamard matrix: the elements of
/// a block of it; 0 if `written`, the rows that a graph writes into a cache, are not multiplied.
int32_t hadamard_block_of(const ggml_tensor *written);

/// The rotation by RoPE of `written`, the rows that a graph writes into a key cache: that of the
/// GGML_OP_ROPE behind views and the Hadamard product of a quantised cache, also where the rotated
/// elements were joined with others, before or behind them (multi-head latent attention). Of
/// rotations by several coordinates it is that of text, whose coordinates are all the token's
/// position and whose extra one is 0. Empty if there is none. Unknown if it cannot be said as a
/// vase_rope: image coordinates, or halves that lie behind other elements.
Rope rope_of(const ggml_tensor *written);

}  // namespace vase

#endif
