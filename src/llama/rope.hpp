// What llama.cpp's graph says about the rotation of keys.
#ifndef VASE_LLAMA_ROPE_HPP
#define VASE_LLAMA_ROPE_HPP

#include "ggml.h"
#include "llama/cache_layer.hpp"

namespace vase {

/// The rotation of `written`, the rows that a graph writes into a key cache: that of the
/// GGML_OP_ROPE behind views and the Hadamard product of a quantised cache. Empty if there is none,
/// or if it is of a kind whose angle is not token position times frequency (rotated in part behind
/// an offset, or by image coordinates).
Rope rope_of(const ggml_tensor *written);

}  // namespace vase

#endif
