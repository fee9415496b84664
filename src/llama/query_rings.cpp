#include "llama/query_rings.hpp"

namespace vase {

QueryRings::QueryRings(std::span<const CacheLayer> layers, int32_t n_sequences, int32_t window)
    : window_(window) {
  for (const CacheLayer &layer : layers) {
    const auto heads = static_cast<size_t>(layer.n_query_heads);
    const auto dim = static_cast<size_t>(layer.keys.rows.dim);
    const size_t count =
        static_cast<size_t>(n_sequences) * heads * static_cast<size_t>(window) * dim;
    rings_.push_back({heads, dim, std::vector<float>(count)});
  }
}

size_t QueryRings::bytes() const {
  size_t bytes = 0;
  for (const Ring &ring : rings_) bytes += ring.values.size() * sizeof(float);
  return bytes;
}

const float *QueryRings::ring(size_t layer, int32_t sequence) const {
  if (rings_.empty()) return nullptr;
  const Ring &ring = rings_[layer];
  return ring.values.data() +
         static_cast<size_t>(sequence) * ring.heads * static_cast<size_t>(window_) * ring.dim;
}

float *QueryRings::slot(size_t layer, int32_t sequence, int32_t head, int32_t slot) {
  Ring &ring = rings_[layer];
  const size_t row = (static_cast<size_t>(sequence) * ring.heads + static_cast<size_t>(head)) *
                         static_cast<size_t>(window_) +
                     static_cast<size_t>(slot);
  return ring.values.data() + row * ring.dim;
}

}  // namespace vase
