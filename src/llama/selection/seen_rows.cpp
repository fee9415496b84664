#include "llama/selection/seen_rows.hpp"

#include <algorithm>

#include "ggml-backend.h"

namespace vase {

void SeenRows::forget_from(int32_t rows) { known_ = std::min(known_, rows); }

vase_rows SeenRows::see(int32_t rows) {
  if (rows_.on_host()) return rows_.in_place(stream_);
  const size_t cell = rows_.tensor->nb[1];
  const size_t end = static_cast<size_t>(rows) * cell;
  if (copy_.size() < end)
    copy_.resize(std::min(std::max(end, 2 * copy_.size()), rows_.stream_bytes()));
  if (known_ < rows) {
    const size_t begin = static_cast<size_t>(known_) * cell;
    ggml_backend_tensor_get(rows_.tensor, copy_.data() + begin,
                            static_cast<size_t>(stream_) * rows_.stream_bytes() + begin,
                            end - begin);
    known_ = rows;
  }
  return rows_.in_copy(copy_);
}

}  // namespace vase
