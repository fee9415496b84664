#include "policy/protection.hpp"

#include <algorithm>

#include "core/width_rule.hpp"
#include "score/wide_values.hpp"

namespace vase {
namespace {

/// Sinks come first, since candidates are in token order.
int32_t sinks_among(const Head& head, const vase_params& params) {
  const auto first_other =
      std::lower_bound(head.positions.begin(), head.positions.end(), params.sinks);
  return static_cast<int32_t>(first_other - head.positions.begin());
}

int32_t wide_among(std::span<const float> range, const KeepSet& keep, Arena& arena) {
  const std::span<float> others = arena.take<float>(range.size());
  size_t n = 0;
  for (int32_t i = 0; i < keep.size(); ++i)
    if (!keep.contains(i)) others[n++] = range[static_cast<size_t>(i)];
  return count_wide(others.first(n));
}

}  // namespace

int32_t rows_to_protect(const Head& head, const Workbench& bench, std::span<const float> range,
                        const KeepSet& keep) {
  const int32_t sinks = sinks_among(head, bench.params);
  if (bench.params.protect != VASE_PROTECT_AUTO) return bench.params.protect - sinks;
  const int32_t wide = wide_among(range, keep, bench.arena);
  return bound_protection(sinks + wide, bench.params.budget) - sinks;
}

size_t rows_to_protect_bytes(int32_t n) { return Arena::bytes_of<float>(static_cast<size_t>(n)); }

}  // namespace vase
