// Numbers that ggml keeps in a node's op_params.
#ifndef VASE_LLAMA_GRAPH_OP_PARAMETERS_HPP
#define VASE_LLAMA_GRAPH_OP_PARAMETERS_HPP

#include <cstddef>
#include <cstring>

#include "ggml.h"

namespace vase {

/// The float at `index` of op_params, which are integers by type.
inline float float_parameter(const ggml_tensor *node, size_t index) {
  float value;
  std::memcpy(&value, node->op_params + index, sizeof(value));
  return value;
}

}  // namespace vase

#endif
