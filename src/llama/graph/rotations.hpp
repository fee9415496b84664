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
/// GGML_OP_ROPE behind views and the Hadamard product of a quantised cache. Empty if there is none.
/// Unknown if it is of a kind whose angle is not token position times frequency: rotated behind an
/// offset or by image coordinates, or in part before it was joined with another.
Rope rope_of(const ggml_tensor *written);

}  // namespace vase

#endif
