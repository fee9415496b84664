#include "llama/graph/position_table.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

namespace vase {
namespace {

// An input is known by its name alone; on a GPU it is a copy, "CUDA0#inp_pos#0".
bool is_positions(const ggml_tensor *tensor) {
  return tensor->type == GGML_TYPE_I32 && (std::strcmp(tensor->name, "inp_pos") == 0 ||
                                           std::strstr(tensor->name, "#inp_pos#") != nullptr);
}

bool look(ggml_tensor *node, bool ask, void *rows) {
  if (!ask) return true;
  auto *found = static_cast<int64_t *>(rows);
  *found = std::max(*found, position_table_rows(node));
  return false;
}

struct FreeContext {
  void operator()(llama_context *context) const { llama_free(context); }
};

}  // namespace

int64_t position_table_rows(const ggml_tensor *node) {
  return node->op == GGML_OP_GET_ROWS && is_positions(node->src[1]) ? node->src[0]->ne[1] : 0;
}

int64_t position_table_rows(llama_model *model) {
  int64_t rows = 0;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 256;
  params.n_batch = params.n_ubatch = 1;
  params.cb_eval = look;
  params.cb_eval_user_data = &rows;
  const std::unique_ptr<llama_context, FreeContext> context(llama_init_from_model(model, params));
  if (context == nullptr) return 0;
  llama_token token = 0;
  llama_decode(context.get(), llama_batch_get_one(&token, 1));
  llama_synchronize(context.get());
  return rows;
}

}  // namespace vase
