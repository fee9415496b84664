// What the rows of a context's caches are stored as, and what they take.
#pragma once

#include <string>

#include "vase/llama.hpp"

namespace vase::eval {

/// Types of keys and values as options name them: "f16/f16", "q8_0/q4_0".
std::string cache_types(const llama_context_params &params);

/// Bytes of one row of all layers; of models with sliding-window layers, on average over the cells.
double bytes_per_row(const BoundedContext &context);

}  // namespace vase::eval
