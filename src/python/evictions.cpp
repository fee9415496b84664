#include "python/evictions.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "python/head_threads.hpp"

namespace vase::python {
namespace {

size_t workspace_size(const vase_params& params, const vase_layer& layer) {
  const size_t size = vase_workspace_size(&params, &layer);
  if (size == 0) throw nb::value_error(vase_last_error());
  return size;
}

void for_each_head_or_throw(int count, size_t bytes, const HeadTask& task) {
  std::string error;
  {
    const nb::gil_scoped_release unlocked;
    error = for_each_head(count, bytes, task);
  }
  if (!error.empty()) throw nb::value_error(error.c_str());
}

}  // namespace

void select_rows(const vase_params& params, const vase_layer& layer, uint8_t* keep) {
  for_each_head_or_throw(
      layer.n_heads, workspace_size(params, layer), [&](int head, std::span<std::byte> space) {
        return vase_select(&params, &layer, head, 1, keep, space.data(), space.size());
      });
}

void score_rows(const vase_params& params, const vase_layer& layer, float* scores) {
  for_each_head_or_throw(
      layer.n_heads, workspace_size(params, layer), [&](int head, std::span<std::byte> space) {
        return vase_scores(&params, &layer, head, 1, scores, space.data(), space.size());
      });
}

int32_t compact_rows(const vase_layer& layer, const uint8_t* keep, int32_t vacate,
                     int32_t* positions) {
  // All heads in one call: it moves nothing if a later head's mask is wrong.
  vase_status status;
  {
    const nb::gil_scoped_release unlocked;
    status = vase_compact(&layer, keep, vacate, 0, layer.n_heads, positions);
  }
  if (status != VASE_OK) throw nb::value_error(vase_last_error());
  return static_cast<int32_t>(std::count(keep, keep + layer.n_rows, uint8_t{0}));
}

void evict_rows(const vase_params& params, std::span<const EvictionItem> items) {
  struct Head {
    const EvictionItem* item;
    uint8_t* keep;  // of the item's first head
    int32_t head;
  };
  size_t rows = 0, workspace = 0;
  for (const EvictionItem& item : items) {
    for (int32_t head = 0; head < item.layer.n_heads; ++head) {
      int32_t* end = item.positions + int64_t{head + 1} * item.layer.n_rows;
      std::iota(end - item.n_new, end, item.new_position);
      if (item.layer.sums == nullptr) continue;
      float* sums_end = item.layer.sums + int64_t{head + 1} * item.layer.n_rows;
      std::fill(sums_end - item.n_new, sums_end, 0.0f);
    }
    rows += static_cast<size_t>(item.layer.n_heads) * static_cast<size_t>(item.layer.n_rows);
    workspace = std::max(workspace, workspace_size(params, item.layer));
  }
  std::vector<uint8_t> keep(rows);
  std::vector<Head> heads;
  rows = 0;
  for (const EvictionItem& item : items) {
    for (int32_t head = 0; head < item.layer.n_heads; ++head)
      heads.push_back({&item, keep.data() + rows, head});
    rows += static_cast<size_t>(item.layer.n_heads) * static_cast<size_t>(item.layer.n_rows);
  }
  for_each_head_or_throw(
      static_cast<int>(heads.size()), workspace, [&](int index, std::span<std::byte> space) {
        const auto& [item, mask, head] = heads[static_cast<size_t>(index)];
        const vase_status status =
            vase_select(&params, &item->layer, head, 1, mask, space.data(), space.size());
        if (status != VASE_OK) return status;
        return vase_compact(&item->layer, mask, std::min(params.budget, item->layer.n_rows), head,
                            1, item->positions);
      });
}

}  // namespace vase::python
