#include "llama/graph/query_statistics.hpp"

#include <cmath>

#include "core/rope_rule.hpp"
#include "llama/graph/query_rows.hpp"

namespace vase {
namespace {

/// How far RoPE turned the pair of `frequency` in the query of token `position`.
std::complex<double> turn_of(float frequency, int32_t position) {
  constexpr double kTurn = 6.283185307179586;
  return std::polar(1.0, kTurn * static_cast<double>(rope_turns(rope_step(frequency), position)));
}

}  // namespace

QueryStatistics::QueryStatistics(std::span<const CacheLayer> layers, int32_t n_tokens)
    : n_tokens_(n_tokens) {
  for (const CacheLayer &layer : layers) {
    const PairLayout layout = pair_layout(layer.rope.view(), layer.keys.rows.dim);
    const auto sums =
        static_cast<size_t>(layer.n_query_heads) * 3 * static_cast<size_t>(layout.pairs);
    layers_.push_back({layer.rope.frequencies, layout, std::vector<double>(sums)});
  }
}

size_t QueryStatistics::bytes() const {
  size_t bytes = 0;
  for (const Layer &layer : layers_) bytes += layer.sums.size() * sizeof(double);
  return bytes;
}

void QueryStatistics::store(std::span<const LayerQueries> layers,
                            std::span<const WantedQuery> wanted) noexcept {
  for (const LayerQueries &from : layers) {
    Layer &layer = layers_[from.layer];
    for_each_query(from, wanted, staging_,
                   [&](const WantedQuery &query, int32_t head, const float *values) {
                     turn_to(layer, query.slot);
                     add(layer, head, values);
                   });
    layer.queries += static_cast<int64_t>(wanted.size());
  }
}

void QueryStatistics::turn_to(Layer &layer, int32_t position) {
  if (layer.position == position) return;
  layer.position = position;
  layer.turns.clear();
  for (const float frequency : layer.frequencies)
    layer.turns.push_back(turn_of(frequency, position));
}

void QueryStatistics::add(Layer &layer, int32_t head, const float *query) {
  const PairLayout &layout = layer.layout;
  double *real = layer.sums.data() + static_cast<ptrdiff_t>(head) * 3 * layout.pairs;
  double *imaginary = real + layout.pairs, *lengths = imaginary + layout.pairs;
  for (int32_t pair = 0; pair < layout.pairs; ++pair) {
    const std::complex<double> stored(query[layout.first(pair)], query[layout.second(pair)]);
    const auto before =
        pair < layout.turned ? stored * std::conj(layer.turns[static_cast<size_t>(pair)]) : stored;
    real[pair] += before.real();
    imaginary[pair] += before.imag();
    lengths[pair] += std::abs(before);
  }
}

std::vector<float> QueryStatistics::calibration(size_t layer) const {
  std::vector<float> means;
  const auto queries = static_cast<double>(layers_[layer].queries);
  for (const double sum : layers_[layer].sums) means.push_back(static_cast<float>(sum / queries));
  return means;
}

}  // namespace vase
