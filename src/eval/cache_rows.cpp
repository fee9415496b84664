#include "eval/cache_rows.hpp"

#include <fmt/format.h>

#include "ggml.h"

namespace vase::eval {

std::string cache_types(const llama_context_params &params) {
  return fmt::format("{}/{}", ggml_type_name(params.type_k), ggml_type_name(params.type_v));
}

double bytes_per_row(const BoundedContext &context) {
  return static_cast<double>(context.cache_bytes()) / context.cells_per_sequence() /
         context.options().n_sequences;
}

}  // namespace vase::eval
