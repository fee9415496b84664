// The package's functions on rows in host memory.
#ifndef VASE_PYTHON_EVICTIONS_HPP
#define VASE_PYTHON_EVICTIONS_HPP

#include <span>

#include "python/layer_arguments.hpp"

namespace vase::python {

void select_rows(const vase_params& params, const vase_layer& layer, uint8_t* keep);
void score_rows(const vase_params& params, const vase_layer& layer, float* scores);
/// Returns the number of rows that became free in each head.
int32_t compact_rows(const vase_layer& layer, const uint8_t* keep, int32_t vacate,
                     int32_t* positions);

/// One layer of one sequence that is to give up what exceeds the budget.
struct EvictionItem {
  vase_layer layer;
  int32_t* positions;  ///< layer.positions, to be updated
  /// The last n_new rows stand for the tokens new_position, new_position + 1, ...; `positions` does
  /// not say so yet.
  int32_t n_new = 0;
  int32_t new_position = 0;
};

/// Writes the positions of new rows, then selection and moves of several items, their heads spread
/// over the threads: in each, the rows behind the first `budget` become free.
void evict_rows(const vase_params& params, std::span<const EvictionItem> items);

}  // namespace vase::python

#endif
