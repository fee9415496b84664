#include "llama/graph/rotations.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ggml-backend.h"
#include "llama/graph/op_parameters.hpp"

namespace vase {
namespace {

// The node that computes what `node` shows in another shape.
const ggml_tensor *computed(const ggml_tensor *node) {
  while (node->op == GGML_OP_VIEW || node->op == GGML_OP_RESHAPE || node->op == GGML_OP_CONT)
    node = node->src[0];
  return node;
}

// An input of the graph, which weights are not. On a GPU it is a copy of that input, which is not
// marked as one but bears its name, "CUDA0#attn_inp_k_rot#0".
bool is_input(const ggml_tensor *tensor) {
  return (tensor->flags & GGML_TENSOR_FLAG_INPUT) != 0 ||
         std::strstr(tensor->name, "#attn_inp_") != nullptr;
}

// The product with the Hadamard matrix that is written, null if there is none: its matrix is square
// and an input.
const ggml_tensor *hadamard_product(const ggml_tensor *written) {
  const ggml_tensor *node = computed(written);
  if (node->op != GGML_OP_MUL_MAT) return nullptr;
  const ggml_tensor *matrix = node->src[0];
  return is_input(matrix) && matrix->ne[0] == matrix->ne[1] ? node : nullptr;
}

// Divides the angles of the pairs; of models that stretch them one by one (Llama 3.1).
std::vector<float> frequency_factors(const ggml_tensor *tensor, size_t pairs) {
  std::vector<float> factors(pairs, 1.0f);
  if (tensor != nullptr) ggml_backend_tensor_get(tensor, factors.data(), 0, pairs * sizeof(float));
  return factors;
}

}  // namespace

int32_t hadamard_block_of(const ggml_tensor *written) {
  const ggml_tensor *product = hadamard_product(written);
  return product == nullptr ? 0 : static_cast<int32_t>(product->src[0]->ne[0]);
}

Rope rope_of(const ggml_tensor *written) {
  const ggml_tensor *product = hadamard_product(written);
  const ggml_tensor *node = computed(product == nullptr ? written : product->src[1]);
  Rope unknown;
  unknown.unknown = true;
  if (node->op == GGML_OP_CONCAT) return unknown;  // as in multi-head latent attention
  if (node->op != GGML_OP_ROPE) return {};
  if (node->ne[0] * node->ne[1] != written->ne[0]) return unknown;
  const RopeParameters rope(node);
  if (rope.offset != 0 || rope.mode == GGML_ROPE_TYPE_VISION) return unknown;

  const auto pairs = static_cast<size_t>(rope.dims / 2);
  const ggml_tensor *tensor = node->src[2];
  if (tensor != nullptr && tensor->type != GGML_TYPE_F32) return unknown;
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
