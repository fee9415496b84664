#include "llama/keeper/query_rings.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "ggml-backend.h"
#include "llama/graph/views.hpp"
#include "vase/llama.hpp"

namespace vase {

QueryRings::QueryRings(std::span<const CacheLayer> layers, int32_t n_sequences, int32_t window)
    : window_(window) {
  size_t longest = 0;
  for (const CacheLayer &layer : layers) {
    const auto heads = static_cast<size_t>(layer.n_query_heads);
    const auto dim = static_cast<size_t>(layer.keys.rows.dim);
    const size_t count =
        static_cast<size_t>(n_sequences) * heads * static_cast<size_t>(window) * dim;
    rings_.push_back({heads, dim, std::vector<float>(count)});
    longest = std::max(longest, heads * dim);
  }
  staging_.reserve(longest);
}

size_t QueryRings::bytes() const {
  size_t bytes = 0;
  for (const Ring &ring : rings_) bytes += ring.values.size() * sizeof(float);
  return bytes;
}

const float *QueryRings::ring(size_t layer, int32_t sequence) const {
  if (rings_.empty()) return nullptr;
  const Ring &ring = rings_[layer];
  return ring.values.data() + static_cast<size_t>(sequence) * values_of_sequence(ring);
}

void QueryRings::copy(int32_t from, int32_t to) {
  for (Ring &ring : rings_) {
    const size_t count = values_of_sequence(ring);
    const auto first = ring.values.begin();
    std::copy_n(first + static_cast<ptrdiff_t>(static_cast<size_t>(from) * count), count,
                first + static_cast<ptrdiff_t>(static_cast<size_t>(to) * count));
  }
}

std::vector<float> QueryRings::save(int32_t sequence) const {
  std::vector<float> all;
  for (size_t layer = 0; layer < rings_.size(); ++layer) {
    const float *first = ring(layer, sequence);
    all.insert(all.end(), first, first + values_of_sequence(rings_[layer]));
  }
  return all;
}

void QueryRings::restore(int32_t sequence, std::span<const float> queries) {
  size_t expected = 0;
  for (const Ring &ring : rings_) expected += values_of_sequence(ring);
  if (queries.size() != expected)
    throw Error("a saved sequence has " + std::to_string(queries.size()) +
                " numbers of queries where this context keeps " + std::to_string(expected) +
                "; it was saved under another policy, window or model");
  for (Ring &ring : rings_) {
    const size_t count = values_of_sequence(ring);
    std::ranges::copy(
        queries.first(count),
        ring.values.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(sequence) * count));
    queries = queries.subspan(count);
  }
}

float *QueryRings::slot(size_t layer, int32_t sequence, int32_t head, int32_t slot) {
  Ring &ring = rings_[layer];
  const size_t row = (static_cast<size_t>(sequence) * ring.heads + static_cast<size_t>(head)) *
                         static_cast<size_t>(window_) +
                     static_cast<size_t>(slot);
  return ring.values.data() + row * ring.dim;
}

void QueryRings::store(std::span<const LayerQueries> layers,
                       std::span<const WantedQuery> wanted) noexcept {
  for (const LayerQueries &layer : layers) store(layer, wanted);
}

void QueryRings::store(const LayerQueries &from, std::span<const WantedQuery> wanted) {
  const ggml_tensor *q = from.queries;
  const ggml_tensor *storage = storage_of(q);
  const auto heads = static_cast<int32_t>(q->ne[2]);
  const size_t row_bytes = static_cast<size_t>(q->ne[0]) * sizeof(float);
  const bool on_host = ggml_backend_buffer_is_host(storage->buffer);
  for (const WantedQuery &query : wanted) {
    const size_t token_offset =
        static_cast<size_t>(query.stream) * q->nb[3] + static_cast<size_t>(query.token) * q->nb[1];
    const std::byte *token_heads = nullptr;  // head 0; the others follow q->nb[2] bytes apart
    if (on_host) {
      token_heads = static_cast<const std::byte *>(q->data) + token_offset;
    } else {
      const size_t span = static_cast<size_t>(heads - 1) * q->nb[2] + row_bytes;
      staging_.resize(span / sizeof(float));
      ggml_backend_tensor_get(storage, staging_.data(),
                              (q->view_src != nullptr ? q->view_offs : 0) + token_offset, span);
      token_heads = reinterpret_cast<const std::byte *>(staging_.data());
    }
    for (int32_t head = 0; head < heads; ++head)
      std::memcpy(slot(from.layer, query.sequence, head, query.slot),
                  token_heads + static_cast<size_t>(head) * q->nb[2], row_bytes);
  }
}

}  // namespace vase
