#include "llama/rope.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ggml-backend.h"

namespace vase {
namespace {

// What ggml_rope_ext() notes in op_params.
struct RopeParameters {
  int32_t dims, mode, n_ctx_orig, offset;
  float base, scale, extrapolation, beta_fast, beta_slow;

  explicit RopeParameters(const ggml_tensor *node)
      : dims(node->op_params[1]),
        mode(node->op_params[2]),
        n_ctx_orig(node->op_params[4]),
        offset(node->op_params[15]),
        base(real(node, 5)),
        scale(real(node, 6)),
        extrapolation(real(node, 7)),
        beta_fast(real(node, 9)),
        beta_slow(real(node, 10)) {}

 private:
  static float real(const ggml_tensor *node, size_t index) {
    float value;
    std::memcpy(&value, node->op_params + index, sizeof(value));
    return value;
  }
};

// The node that rotates, seen through what reshapes its result or multiplies it with an input of
// the graph (the Hadamard matrix of a quantised cache).
const ggml_tensor *rotating_node(const ggml_tensor *node) {
  for (;;) {
    const bool reshapes =
        node->op == GGML_OP_VIEW || node->op == GGML_OP_RESHAPE || node->op == GGML_OP_CONT;
    const bool multiplied =
        node->op == GGML_OP_MUL_MAT && (node->src[0]->flags & GGML_TENSOR_FLAG_INPUT) != 0;
    if (node->op == GGML_OP_ROPE) return node;
    if (!reshapes && !multiplied) return nullptr;
    node = node->src[multiplied ? 1 : 0];
    if (node == nullptr) return nullptr;
  }
}

// Divides the angles of the pairs; of models that stretch them one by one (Llama 3.1).
std::vector<float> frequency_factors(const ggml_tensor *tensor, size_t pairs) {
  std::vector<float> factors(pairs, 1.0f);
  if (tensor != nullptr) ggml_backend_tensor_get(tensor, factors.data(), 0, pairs * sizeof(float));
  return factors;
}

}  // namespace

Rope rope_of(const ggml_tensor *written) {
  const ggml_tensor *node = rotating_node(written);
  if (node == nullptr) return {};
  // A part of each head alone is rotated before it is joined with another: not as vase_rope says.
  if (node->ne[0] * node->ne[1] != written->ne[0]) return {};
  const RopeParameters rope(node);
  if (rope.offset != 0 || rope.mode == GGML_ROPE_TYPE_VISION) return {};

  const auto pairs = static_cast<size_t>(rope.dims / 2);
  const ggml_tensor *tensor = node->src[2];
  if (tensor != nullptr && tensor->type != GGML_TYPE_F32) return {};
  const std::vector<float> factors = frequency_factors(tensor, pairs);
  float ramp[2];  // pairs before the first are extrapolated, behind the second interpolated (YaRN)
  ggml_rope_yarn_corr_dims(rope.dims, rope.n_ctx_orig, rope.base, rope.beta_fast, rope.beta_slow,
                           ramp);
  Rope result;
  result.stride = rope.mode == GGML_ROPE_TYPE_NORMAL ? 1 : rope.dims / 2;
  for (size_t pair = 0; pair < pairs; ++pair) {
    const auto index = static_cast<float>(pair);
    const float extrapolated =
        std::pow(rope.base, -2.0f * index / static_cast<float>(rope.dims)) / factors[pair];
    float share = 0;  // arXiv 2309.00071, section 3.2
    if (rope.extrapolation != 0.0f) {
      const float along = (index - ramp[0]) / std::max(0.001f, ramp[1] - ramp[0]);
      share = (1 - std::clamp(along, 0.0f, 1.0f)) * rope.extrapolation;
    }
    result.frequencies.push_back(extrapolated * (rope.scale * (1 - share) + share));
  }
  return result;
}

}  // namespace vase
