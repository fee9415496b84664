// Models that learned a vector for each position know no more positions than they have vectors.
#ifndef VASE_LLAMA_GRAPH_POSITION_TABLE_HPP
#define VASE_LLAMA_GRAPH_POSITION_TABLE_HPP

#include <cstdint>

#include "ggml.h"
#include "llama.h"

namespace vase {

/// The rows of the table in which `node` looks positions up; 0 if it does nothing of the kind. ggml
/// aborts on a position behind the table's end.
int64_t position_table_rows(const ggml_tensor *node);

/// The same of a model, seen on the graph of one token in a small context of its own; 0 if it has
/// no such table, or its graph could not be run. For who watches no graph.
int64_t position_table_rows(llama_model *model);

}  // namespace vase

#endif
