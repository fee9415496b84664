// What the queries of a text have in common, head by head.
#ifndef VASE_LLAMA_GRAPH_QUERY_STATISTICS_HPP
#define VASE_LLAMA_GRAPH_QUERY_STATISTICS_HPP

#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/pair_layout.hpp"
#include "llama/graph/cache_layer.hpp"
#include "llama/graph/query_store.hpp"

namespace vase {

/// Sums up the queries of one sequence as they were before RoPE, each layer's turned back as its
/// keys are. (TriAttention, arXiv 2604.04921, section on calibration; there from the projections,
/// here from what attention reads.)
class QueryStatistics final : public QueryStore {
 public:
  /// Of a text of at most `n_tokens` tokens.
  QueryStatistics(std::span<const CacheLayer> layers, int32_t n_tokens);

  /// As many slots as tokens, so a query's slot is its token.
  int32_t window() const override { return n_tokens_; }
  size_t bytes() const override;
  void store(std::span<const LayerQueries> layers,
             std::span<const WantedQuery> wanted) noexcept override;

  /// Of a layer: vase_layer.calibration.
  std::vector<float> calibration(size_t layer) const;

 private:
  struct Layer {
    std::vector<float> frequencies;
    PairLayout layout;
    std::vector<double> sums;  // [n_query_heads][3][pairs]: real and imaginary parts, lengths
    int64_t queries = 0;       // of each head
    std::vector<std::complex<double>> turns = {};  // of the turned pairs at `position`
    int32_t position = -1;
  };
  static void turn_to(Layer &layer, int32_t position);
  static void add(Layer &layer, int32_t head, const float *query);

  int32_t n_tokens_;
  std::vector<Layer> layers_;
  std::vector<float> staging_;
};

}  // namespace vase

#endif
