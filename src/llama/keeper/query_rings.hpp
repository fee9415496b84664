// The newest queries of every sequence at every bounded layer, in host memory.
#ifndef VASE_LLAMA_KEEPER_QUERY_RINGS_HPP
#define VASE_LLAMA_KEEPER_QUERY_RINGS_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "llama/graph/cache_layer.hpp"
#include "llama/graph/query_store.hpp"

namespace vase {

/// For each layer and sequence a ring [n_query_heads][window][dim] of f32.
class QueryRings final : public QueryStore {
 public:
  QueryRings() = default;
  QueryRings(std::span<const CacheLayer> layers, int32_t n_sequences, int32_t window);

  int32_t window() const override { return window_; }
  size_t bytes() const override;
  void store(std::span<const LayerQueries> layers,
             std::span<const WantedQuery> wanted) noexcept override;

  /// The ring of one layer and sequence; nullptr if no queries are kept.
  const float *ring(size_t layer, int32_t sequence) const;
  /// Gives `to` the queries of `from`.
  void copy(int32_t from, int32_t to);
  /// All rings of a sequence, a layer after another.
  std::vector<float> save(int32_t sequence) const;
  /// Throws Error, and changes nothing, if `queries` are of other layers or another window.
  void restore(int32_t sequence, std::span<const float> queries);
  /// The query of one head in a slot: [dim].
  float *slot(size_t layer, int32_t sequence, int32_t head, int32_t slot);

 private:
  void store(const LayerQueries &layer, std::span<const WantedQuery> wanted);

  struct Ring {
    size_t heads, dim;
    std::vector<float> values;  // [n_sequences][heads][window][dim]
  };
  size_t values_of_sequence(const Ring &ring) const {
    return ring.heads * static_cast<size_t>(window_) * ring.dim;
  }

  int32_t window_ = 0;
  std::vector<Ring> rings_;
  std::vector<float> staging_;  // queries of one token, if they are not on the host
};

}  // namespace vase

#endif
