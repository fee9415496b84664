#include "llama/graph/cache_layer.hpp"

#include "ggml-backend.h"

namespace vase {

bool CacheRows::on_host() const { return ggml_backend_buffer_is_host(tensor->buffer); }

size_t CacheRows::stream_bytes() const { return tensor->nb[2]; }

vase_rows CacheRows::in_place(int32_t stream) const {
  vase_rows placed = rows;
  placed.data = static_cast<std::byte *>(tensor->data) +
                static_cast<size_t>(stream) * stream_bytes() + offset;
  return placed;
}

vase_rows CacheRows::in_copy(std::vector<std::byte> &copy) const {
  vase_rows placed = rows;
  placed.data = copy.data() + offset;
  return placed;
}

void CacheRows::read_stream(int32_t stream, std::vector<std::byte> &copy) const {
  copy.resize(stream_bytes());
  ggml_backend_tensor_get(tensor, copy.data(), static_cast<size_t>(stream) * stream_bytes(),
                          stream_bytes());
}

void CacheRows::write_stream(int32_t stream, const std::vector<std::byte> &copy) const {
  ggml_backend_tensor_set(tensor, copy.data(), static_cast<size_t>(stream) * stream_bytes(),
                          stream_bytes());
}

vase_rope Rope::view() const {
  if (frequencies.empty()) return {};
  return {frequencies.data(), static_cast<int32_t>(frequencies.size()), stride};
}

}  // namespace vase
