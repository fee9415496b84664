#include "llama/keeper/query_rings.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "llama/graph/query_rows.hpp"
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
  const size_t row_bytes = static_cast<size_t>(from.queries->ne[0]) * sizeof(float);
  for_each_query(
      from, wanted, staging_, [&](const WantedQuery &query, int32_t head, const float *values) {
        std::memcpy(slot(from.layer, query.sequence, head, query.slot), values, row_bytes);
      });
}

}  // namespace vase
