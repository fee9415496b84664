#include "llama/graph/compatibility.hpp"

#include <cstdlib>
#include <memory>
#include <string_view>

#include "ggml.h"
#include "llama.h"
#include "llama/graph/op_parameters.hpp"

namespace vase {
namespace {

// Of llama-cpp-python 0.3.36. A development version of it counts as it.
constexpr std::string_view kTestedLlama = "0.5.0", kTestedLlamaDev = "0.5.0-dev";
constexpr std::string_view kTestedGgml = "0.25.3";

bool switched_off(const char *variable) {
  const char *value = std::getenv(variable);
  return value != nullptr && std::string_view(value) == "0";
}

struct FreeGgml {
  void operator()(ggml_context *context) const { ggml_free(context); }
};
using Ggml = std::unique_ptr<ggml_context, FreeGgml>;

Ggml small_context() {
  return Ggml(ggml_init(
      {.mem_size = 16 * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}));
}

bool finds_rope_parameters() {
  const Ggml context = small_context();
  ggml_tensor *rows = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, 8, 1, 1);
  ggml_tensor *positions = ggml_new_tensor_1d(context.get(), GGML_TYPE_I32, 1);
  const ggml_tensor *node = ggml_rope_ext(context.get(), rows, positions, nullptr, 6,
                                          GGML_ROPE_TYPE_NEOX, 77, 2, 3, 4, 5, 6, 7);
  const RopeParameters found(node);
  return node->op == GGML_OP_ROPE && found.dims == 6 && found.mode == GGML_ROPE_TYPE_NEOX &&
         found.n_ctx_orig == 77 && found.offset == 0 && found.base == 2 && found.scale == 3 &&
         found.extrapolation == 4 && found.beta_fast == 6 && found.beta_slow == 7;
}

bool finds_attention_parameters() {
  const Ggml context = small_context();
  ggml_tensor *queries = ggml_new_tensor_4d(context.get(), GGML_TYPE_F32, 8, 1, 1, 1);
  ggml_tensor *rows = ggml_new_tensor_4d(context.get(), GGML_TYPE_F16, 8, 256, 1, 1);
  ggml_tensor *mask = ggml_new_tensor_4d(context.get(), GGML_TYPE_F16, 256, 64, 1, 1);
  const AttentionParameters found(
      ggml_flash_attn_ext(context.get(), queries, rows, rows, mask, 2, 3, 4));
  return found.scale == 2 && found.max_alibi_bias == 3 && found.soft_cap == 4;
}

void add(std::string &why, const std::string &reason) { why += (why.empty() ? "" : "; ") + reason; }

}  // namespace

Compatibility compatibility_of(const std::string &llama, const std::string &ggml) {
  Compatibility compatible;
  if (ggml != kTestedGgml || (llama != kTestedLlama && llama != kTestedLlamaDev)) {
    compatible.taps = compatible.callback_switch = false;
    add(compatible.why, "llama.cpp " + llama + " with ggml " + ggml + " is not the tested " +
                            std::string(kTestedLlama) + " with " + std::string(kTestedGgml) +
                            ", so steps stop at each layer where queries are wanted");
  }
  return compatible;
}

Compatibility compatibility() {
  Compatibility compatible = compatibility_of(llama_version(), ggml_version());
  if (switched_off("VASE_TAPS")) {
    compatible.taps = false;
    add(compatible.why, "VASE_TAPS=0: steps stop at each layer where queries are wanted");
  }
  if (switched_off("VASE_CALLBACK_SWITCH")) {
    compatible.callback_switch = false;
    add(compatible.why, "VASE_CALLBACK_SWITCH=0: every step runs with the callback");
  }
  static const bool rope = finds_rope_parameters(), attention = finds_attention_parameters();
  compatible.rope_layout = rope;
  compatible.attention_layout = attention;
  if (!rope)
    add(compatible.why, "this ggml notes RoPE in another way than known, so it is unknown");
  if (!attention) add(compatible.why, "this ggml notes attention in another way than known");
  return compatible;
}

}  // namespace vase
