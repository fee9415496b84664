// Numbers that ggml keeps in a node's op_params.
#ifndef VASE_LLAMA_GRAPH_OP_PARAMETERS_HPP
#define VASE_LLAMA_GRAPH_OP_PARAMETERS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ggml.h"

namespace vase {

/// The float at `index` of op_params, which are integers by type.
inline float float_parameter(const ggml_tensor *node, size_t index) {
  float value;
  std::memcpy(&value, node->op_params + index, sizeof(value));
  return value;
}

/// What ggml_rope_ext() and ggml_rope_multi() note.
struct RopeParameters {
  int32_t dims, mode, n_ctx_orig, offset;
  std::array<int32_t, 4> sections;  ///< pairs by time, height, width and an extra position
  float base, scale, extrapolation, beta_fast, beta_slow;

  explicit RopeParameters(const ggml_tensor *node)
      : dims(node->op_params[1]),
        mode(node->op_params[2]),
        n_ctx_orig(node->op_params[4]),
        offset(node->op_params[15]),
        sections{node->op_params[11], node->op_params[12], node->op_params[13],
                 node->op_params[14]},
        base(float_parameter(node, 5)),
        scale(float_parameter(node, 6)),
        extrapolation(float_parameter(node, 7)),
        beta_fast(float_parameter(node, 9)),
        beta_slow(float_parameter(node, 10)) {}
};

/// What ggml_flash_attn_ext() notes.
struct AttentionParameters {
  float scale, max_alibi_bias, soft_cap;

  explicit AttentionParameters(const ggml_tensor *node)
      : scale(float_parameter(node, 0)),
        max_alibi_bias(float_parameter(node, 1)),
        soft_cap(float_parameter(node, 2)) {}
};

}  // namespace vase

#endif
