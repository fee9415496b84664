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

Rope unknown_rope() {
  Rope rope;
  rope.unknown = true;
  return rope;
}

// Whether a pair is turned by an extra coordinate, which is 0 for text. As ggml deals out pairs.
bool turns_by_extra_coordinate(const RopeParameters &rope, int32_t pair) {
  const auto &[time, height, width, extra] = rope.sections;
  const int32_t all = time + height + width + extra;
  if ((rope.mode & GGML_ROPE_TYPE_MROPE) == 0 || all == 0) return false;
  const int32_t at = pair % all;
  if (rope.mode != GGML_ROPE_TYPE_IMROPE) return at >= time + height + width;
  const int32_t of_its_kind = at % 3 == 0 ? time : at % 3 == 1 ? height : width;
  return at >= 3 * of_its_kind;
}

// Of rows in which what `node` rotates lies behind `before` other elements.
Rope rope_of_node(const ggml_tensor *node, int64_t before) {
  const RopeParameters rope(node);
  if (rope.offset != 0 || rope.mode == GGML_ROPE_TYPE_VISION) return unknown_rope();
  // Neighbours are pairs wherever they begin; the elements before them are pairs that do not turn.
  const bool neighbours = rope.mode == GGML_ROPE_TYPE_NORMAL;
  if (before > 0 && (!neighbours || before % 2 != 0)) return unknown_rope();

  const auto pairs = static_cast<size_t>(rope.dims / 2);
  const ggml_tensor *tensor = node->src[2];
  if (tensor != nullptr && tensor->type != GGML_TYPE_F32) return unknown_rope();
  const std::vector<float> factors = frequency_factors(tensor, pairs);
  float ramp[2];  // pairs before the first are extrapolated, behind the second interpolated (YaRN)
  ggml_rope_yarn_corr_dims(rope.dims, rope.n_ctx_orig, rope.base, rope.beta_fast, rope.beta_slow,
                           ramp);
  Rope result;
  result.stride = neighbours ? 1 : rope.dims / 2;
  result.frequencies.assign(static_cast<size_t>(before) / 2, 0.0f);
  for (size_t pair = 0; pair < pairs; ++pair) {
    const auto index = static_cast<float>(pair);
    const float extrapolated =
        std::pow(rope.base, -2.0f * index / static_cast<float>(rope.dims)) / factors[pair];
    float share = 0;  // arXiv 2309.00071, section 3.2
    if (rope.extrapolation != 0.0f) {
      const float along = (index - ramp[0]) / std::max(0.001f, ramp[1] - ramp[0]);
      share = (1 - std::clamp(along, 0.0f, 1.0f)) * rope.extrapolation;
    }
    const bool still = turns_by_extra_coordinate(rope, static_cast<int32_t>(pair));
    result.frequencies.push_back(still ? 0 : extrapolated * (rope.scale * (1 - share) + share));
  }
  return result;
}

// What computes one part of joined rows, where all heads have it from one too.
const ggml_tensor *part_of(const ggml_tensor *joined, int which) {
  const ggml_tensor *part = computed(joined->src[which]);
  return part->op == GGML_OP_REPEAT ? computed(part->src[0]) : part;
}

// The same behind what multiplies a head's elements by one number, which does not turn them.
const ggml_tensor *unscaled(const ggml_tensor *node) {
  while (node->op == GGML_OP_SCALE || node->op == GGML_OP_RMS_NORM || node->op == GGML_OP_L2_NORM)
    node = computed(node->src[0]);
  return node;
}

// Whether a rotation lies between `node` and the products with weights that it comes from.
bool comes_from_rope(const ggml_tensor *node) {
  if (node == nullptr || node->op == GGML_OP_NONE || node->op == GGML_OP_MUL_MAT) return false;
  return node->op == GGML_OP_ROPE || comes_from_rope(node->src[0]) || comes_from_rope(node->src[1]);
}

Rope rope_of_joined(const ggml_tensor *joined, int64_t row) {
  const ggml_tensor *first = part_of(joined, 0), *second = part_of(joined, 1);
  const bool rotates_first = first->op == GGML_OP_ROPE, rotates_second = second->op == GGML_OP_ROPE;
  if (!rotates_first && !rotates_second) return {};
  if (rotates_first == rotates_second || joined->op_params[0] != 0 ||
      joined->ne[0] * joined->ne[1] != row)
    return unknown_rope();
  const ggml_tensor *node = rotates_first ? first : second;
  return rope_of_node(node, rotates_first ? 0 : joined->ne[0] - node->ne[0]);
}

}  // namespace

int32_t hadamard_block_of(const ggml_tensor *written) {
  const ggml_tensor *product = hadamard_product(written);
  return product == nullptr ? 0 : static_cast<int32_t>(product->src[0]->ne[0]);
}

Rope rope_of(const ggml_tensor *written) {
  const ggml_tensor *product = hadamard_product(written);
  const ggml_tensor *node = computed(product == nullptr ? written : product->src[1]);
  if (node->op == GGML_OP_CONCAT) return rope_of_joined(node, written->ne[0]);
  node = unscaled(node);
  if (node->op != GGML_OP_ROPE) return comes_from_rope(node) ? unknown_rope() : Rope{};
  return node->ne[0] * node->ne[1] == written->ne[0] ? rope_of_node(node, 0) : unknown_rope();
}

}  // namespace vase
