// In-place compaction: kept rows leave a block of cells and move into holes elsewhere.
#ifndef VASE_CORE_HOLE_FILLING_HPP
#define VASE_CORE_HOLE_FILLING_HPP

#include <cstdint>

#include "vase/vase.h"

namespace vase {

/// Empties rows [vacate_first, vacate_first + count) of one head, where `count` is how many rows
/// keep[n_rows] gives up: each kept row inside the block is copied over a given-up row outside.
/// positions[n_rows] (may be null) and the head's layer.sums follow the rows. Returns the number of
/// rows moved, at most count.
int32_t fill_holes(const vase_layer& layer, int32_t head, const uint8_t* keep, int32_t vacate_first,
                   int32_t count, int32_t* positions);

}  // namespace vase

#endif
