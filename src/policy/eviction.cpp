#include "policy/eviction.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/token_order.hpp"
#include "score/value_range.hpp"

namespace vase {
namespace {

/// Rows of a head in token order, and the part of them that the recency window leaves as
/// candidates.
struct OrderedRows {
  std::span<const int32_t> rows;  ///< [n_rows], oldest token first
  Head candidates;
  Head all;  ///< the same rows, as if there were no recency window
};

OrderedRows order_rows(const vase_params& params, const vase_layer& layer, int32_t head,
                       Arena& arena) {
  const auto n_rows = static_cast<size_t>(layer.n_rows);
  std::span<const int32_t> positions;
  if (layer.positions != nullptr)
    positions = {layer.positions + static_cast<size_t>(head) * n_rows, n_rows};

  const std::span<int32_t> order = arena.take<int32_t>(n_rows);
  token_order(positions, order, arena);

  const std::span<int32_t> cells = arena.take<int32_t>(n_rows),
                           tokens = arena.take<int32_t>(n_rows);
  for (size_t i = 0; i < n_rows; ++i) {
    const auto row = static_cast<size_t>(order[i]);
    cells[i] = layer.cells != nullptr ? layer.cells[row] : order[i];
    tokens[i] = positions.empty() ? order[i] : positions[row];
  }
  const size_t n = n_rows - std::min(n_rows, static_cast<size_t>(params.recency));
  return {order,
          {&layer, head, order.first(n), cells.first(n), tokens.first(n), cells.subspan(n),
           tokens.subspan(n)},
          {&layer, head, order, cells, tokens}};
}

/// Sinks and pinned rows stay whatever the policy says, oldest first if the budget cannot hold all.
void keep_fixed(const Head& head, const vase_params& params, KeepSet& keep) {
  const vase_layer& layer = *head.layer;
  for (int32_t i = 0; i < head.size(); ++i) {
    const int32_t token = head.positions[static_cast<size_t>(i)];
    if (token < params.sinks || token < layer.pinned_first ||
        (token >= layer.pinned_begin && token < layer.pinned_end))
      keep.add(i);
  }
}

void choose(Choice choice, const Head& head, const vase_params& params,
            std::span<const float> scores, KeepSet& keep) {
  switch (choice) {
    case Choice::kHighest:
      return keep.add_top(scores, keep.remaining());
    case Choice::kLowest:
      return keep.add_bottom(scores, keep.remaining());
    case Choice::kDraw:
      return keep.add_drawn(scores, head.positions, head.draws(params.seed), keep.remaining());
  }
}

/// A head before the choice: what is safe is kept, the candidates are scored.
struct ScoredHead {
  OrderedRows ordered;
  KeepSet kept;
  std::span<const float> scores;  ///< [candidates]

  /// Calls use(row, candidate) for the candidates that are not kept.
  template <typename Use>
  void for_others(const Use& use) const {
    for (int32_t i = 0; i < ordered.candidates.size(); ++i)
      if (!kept.contains(i)) use(static_cast<size_t>(ordered.rows[static_cast<size_t>(i)]), i);
  }
};

/// An empty choice among the candidates, and what it takes from the arena.
KeepSet nothing_kept(const Head& candidates, const vase_params& params, Arena& arena) {
  const auto n = static_cast<size_t>(candidates.size());
  return {arena.take<uint8_t>(n), params.budget - params.recency, arena};
}

/// What the policy found of each row so far, with what it finds now. Written back to layer.sums if
/// `keeps`. sums: [n_rows], by age.
void sum_up(const Policy& policy, const OrderedRows& ordered, const Workbench& bench, bool keeps,
            std::span<float> sums) {
  policy.score(ordered.all, bench, sums);
  const vase_layer& layer = *ordered.all.layer;
  if (layer.sums == nullptr) return;
  float* so_far = layer.sums + static_cast<ptrdiff_t>(ordered.all.index) * layer.n_rows;
  for (size_t i = 0; i < sums.size(); ++i) {
    float& sum = so_far[ordered.rows[i]];
    sums[i] += sum;
    if (keeps) sum = sums[i];
  }
}

/// keeps_sums: whether sums are written back, if the policy has any.
ScoredHead protect_and_score(const Policy& policy, const vase_params& params,
                             const vase_layer& layer, int32_t head, const Kernels& kernels,
                             Arena& arena, bool keeps_sums) {
  const OrderedRows ordered = order_rows(params, layer, head, arena);
  KeepSet kept = nothing_kept(ordered.candidates, params, arena);
  const auto scores = arena.take<float>(ordered.rows.size());
  const auto n = static_cast<size_t>(ordered.candidates.size());
  const Workbench bench{params, kernels, arena};

  keep_fixed(ordered.candidates, params, kept);
  policy.protect(ordered.candidates, bench, kept);
  if (policy.traits().sums)
    sum_up(policy, ordered, bench, keeps_sums, scores);
  else
    policy.score(ordered.candidates, bench, scores.first(n));
  return {ordered, kept, scores.first(n)};
}

}  // namespace

void select_head(const Policy& policy, const vase_params& params, const vase_layer& layer,
                 int32_t head, const Kernels& kernels, Arena arena, std::span<uint8_t> keep) {
  std::fill(keep.begin(), keep.end(), uint8_t{1});
  if (!policy.traits().evicts || layer.n_rows <= params.budget) return;

  ScoredHead scored = protect_and_score(policy, params, layer, head, kernels, arena, true);
  choose(policy.traits().choice, scored.ordered.candidates, params, scored.scores, scored.kept);
  scored.for_others([&](size_t row, int32_t) { keep[row] = 0; });
}

void score_head(const Policy& policy, const vase_params& params, const vase_layer& layer,
                int32_t head, const Kernels& kernels, Arena arena, std::span<float> scores) {
  std::fill(scores.begin(), scores.end(), std::numeric_limits<float>::infinity());
  if (!policy.traits().evicts) return;

  const ScoredHead scored = protect_and_score(policy, params, layer, head, kernels, arena, false);
  scored.for_others([&](size_t row, int32_t candidate) {
    const float score = scored.scores[static_cast<size_t>(candidate)];
    scores[row] = std::isfinite(score) ? score : std::numeric_limits<float>::quiet_NaN();
  });
}

int32_t protected_in_head(const Policy& policy, const vase_params& params, const vase_layer& layer,
                          int32_t head, const Kernels& kernels, Arena arena) {
  const OrderedRows ordered = order_rows(params, layer, head, arena);
  KeepSet kept = nothing_kept(ordered.candidates, params, arena);
  keep_fixed(ordered.candidates, params, kept);
  const int32_t fixed = kept.kept();
  policy.protect(ordered.candidates, {params, kernels, arena}, kept);
  return kept.kept() - fixed;
}

void value_ranges_of_head(const vase_layer& layer, int32_t head, const Kernels& kernels,
                          Arena arena, std::span<float> ranges) {
  const std::span<int32_t> rows = arena.take<int32_t>(ranges.size());
  std::iota(rows.begin(), rows.end(), 0);
  std::span<const int32_t> cells = rows;
  if (layer.cells != nullptr) cells = {layer.cells, ranges.size()};
  value_range({&layer, head, rows, cells, rows}, kernels, arena, ranges);
}

size_t eviction_workspace(const Policy& policy, const vase_params& params,
                          const vase_layer& layer) {
  const auto n = static_cast<size_t>(layer.n_rows);
  return Arena::kAlignment + 3 * Arena::bytes_of<int32_t>(n) + token_order_bytes(layer.n_rows) +
         Arena::bytes_of<uint8_t>(n) + KeepSet::bytes(layer.n_rows) + Arena::bytes_of<float>(n) +
         std::max(policy.workspace(params, layer, layer.n_rows), value_range_bytes(layer));
}

}  // namespace vase
