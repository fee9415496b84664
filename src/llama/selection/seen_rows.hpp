// The rows of a sequence in a layer's cache where the processor can read them.
#ifndef VASE_LLAMA_SELECTION_SEEN_ROWS_HPP
#define VASE_LLAMA_SELECTION_SEEN_ROWS_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include "llama/graph/cache_layer.hpp"

namespace vase {

/// Of a cache on a device it holds a copy that grows by the rows that are new.
class SeenRows {
 public:
  SeenRows(const CacheRows &rows, int32_t stream) : rows_(rows), stream_(stream) {}

  /// Rows from `rows` on are to be written anew.
  void forget_from(int32_t rows);
  /// The first `rows` rows. The pointer in it holds until the next call.
  vase_rows see(int32_t rows);

 private:
  CacheRows rows_;
  int32_t stream_;
  int32_t known_ = 0;
  std::vector<std::byte> copy_;
};

}  // namespace vase

#endif
