#include "score/attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "core/thinned_queries.hpp"
#include "score/spoilt_rows.hpp"

namespace vase {
namespace {

/// Queries that are scored together: enough lanes to reuse each key many times, few enough for
/// their logits over all candidates to stay in the second-level cache.
constexpr int32_t kQueryBlock = 64;

constexpr auto kLog2E = std::numbers::log2e_v<float>;

/// Logit scale, in units of log 2: the kernels compute powers of 2.
float logit_scale(const Head& head, const vase_params& params) {
  const float scale = head.layer->scale != 0
                          ? head.layer->scale
                          : 1.0f / std::sqrt(static_cast<float>(head.layer->keys.dim));
  return scale / params.temperature * kLog2E;
}

/// Queries that score, of all heads of a group, one behind the other: lanes are filled across
/// heads.
struct GroupQueries {
  const Head& head;
  ThinnedQueries asked;  ///< of each head

  int32_t size() const { return head.group() * asked.count; }
  const float* operator[](int32_t i) const {
    const ptrdiff_t token = asked.first + ptrdiff_t{i % asked.count} * asked.step;
    return head.queries(i / asked.count) + token * head.layer->keys.dim;
  }
};

/// Transposes `count` queries from `first` on into the lanes of `out`, times `factor`; lanes beyond
/// them are zero, and so are those of queries that are not finite, which attend to all keys alike.
void pack_queries(const GroupQueries& from, int32_t first, int32_t count, float factor,
                  LaneMatrix out) {
  for (int32_t d = 0; d < out.depth; ++d)
    std::fill(out.row(d) + count, out.row(d) + out.lanes, 0.0f);
  for (int32_t q = 0; q < count; ++q) {
    const std::span<const float> query(from[first + q], static_cast<size_t>(out.depth));
    const bool finite = std::ranges::all_of(query, [](float x) { return std::isfinite(x); });
    for (int32_t d = 0; d < out.depth; ++d)
      out.row(d)[q] = finite ? query[static_cast<size_t>(d)] * factor : 0.0f;
  }
}

/// out[i] = sum of `width` neighbours of in[i], divided by `width`.
void average_pool(std::span<const float> in, int32_t width, std::span<float> out) {
  const auto n = static_cast<int32_t>(in.size());
  const int32_t reach = width / 2;
  for (int32_t i = 0; i < n; ++i) {
    float sum = 0;
    for (int32_t j = std::max(0, i - reach); j <= std::min(n - 1, i + reach); ++j)
      sum += in[static_cast<size_t>(j)];
    out[static_cast<size_t>(i)] = sum / static_cast<float>(width);
  }
}

}  // namespace

size_t dense_keys_bytes(const vase_layer& layer, int32_t n) {
  return Arena::bytes_of<float>(static_cast<size_t>(n) *
                                static_cast<size_t>(pad_to_lanes(layer.keys.dim)));
}

DenseRows dense_keys(const Head& head, const Kernels& kernels, Arena& arena) {
  const int32_t stride = pad_to_lanes(head.layer->keys.dim);
  const DenseRows keys{
      arena.take<float>(static_cast<size_t>(head.size()) * static_cast<size_t>(stride)).data(),
      head.size(), stride};
  kernels.read_rows(head.layer->keys, head.index, head.cells.data(), keys);
  return keys;
}

size_t attention_weights_bytes(const vase_layer& layer, int32_t n) {
  const auto rows = static_cast<size_t>(n), dim = static_cast<size_t>(layer.keys.dim);
  return Arena::bytes_of<float>(rows) + Arena::bytes_of<float>(rows * kQueryBlock) +
         Arena::bytes_of<float>(dim * kQueryBlock) + 2 * Arena::bytes_of<float>(kQueryBlock);
}

void attention_weights(const Head& head, const vase_params& params, const Kernels& kernels,
                       DenseRows keys, Arena& arena, std::span<float> out, int32_t every) {
  const vase_layer& layer = *head.layer;
  const GroupQueries queries{head, thinned_queries(layer.n_queries, every)};
  const int32_t n = head.size(), dim = layer.keys.dim;
  const std::span<float> attended = arena.take<float>(static_cast<size_t>(n));
  float* logits_data = arena.take<float>(static_cast<size_t>(n) * kQueryBlock).data();
  float* packed_data = arena.take<float>(static_cast<size_t>(dim) * kQueryBlock).data();
  float* maxima = arena.take<float>(kQueryBlock).data();
  float* sums = arena.take<float>(kQueryBlock).data();

  const float share = 1.0f / static_cast<float>(queries.size());
  std::fill(attended.begin(), attended.end(), 0.0f);
  replace_spoilt(keys, kernels, kSpoilt, [](int32_t) {});  // none of their elements counts
  for (int32_t first = 0; first < queries.size(); first += kQueryBlock) {
    const int32_t count = std::min(kQueryBlock, queries.size() - first);
    const int32_t lanes = pad_to_lanes(count);
    const LaneMatrix packed{packed_data, dim, lanes}, logits{logits_data, n, lanes};
    pack_queries(queries, first, count, logit_scale(head, params), packed);

    std::fill(maxima, maxima + lanes, -std::numeric_limits<float>::infinity());
    kernels.multiply(keys, packed, logits, maxima);
    kernels.exp2_columns(logits, maxima, sums);
    for (int32_t q = 0; q < lanes; ++q) sums[q] = q < count ? share / sums[q] : 0.0f;
    kernels.add_weighted_lanes(logits, sums, attended.data());
  }
  average_pool(attended, params.pooling, out);
  for (int32_t i = 0; i < n; ++i)
    if (std::isnan(keys.row(i)[0])) out[static_cast<size_t>(i)] = kSpoilt;
}

}  // namespace vase
