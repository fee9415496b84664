#include "llama/graph/cache_layer.hpp"

#include <string>

#include "ggml-backend.h"
#include "vase/llama.hpp"

namespace vase {

vase_type row_type(ggml_type type, const char *what) {
  switch (type) {
    case GGML_TYPE_F32:
      return VASE_F32;
    case GGML_TYPE_F16:
      return VASE_F16;
    case GGML_TYPE_BF16:
      return VASE_BF16;
    case GGML_TYPE_Q8_0:
      return VASE_Q8_0;
    case GGML_TYPE_Q4_0:
      return VASE_Q4_0;
    default:
      throw Error("cache type " + std::string(ggml_type_name(type)) + " of the " + what +
                  " cannot be evicted from; use f32, f16, bf16, q8_0 or q4_0");
  }
}

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
