#include "python/device_evictions.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "vase/cuda.h"

namespace vase::python {
namespace {

/// Layers worked on at once; more take turns. Enough to keep a GPU busy.
constexpr int32_t kItemsAtOnce = 64;

void check(vase_status status) {
  if (status == VASE_OK) return;
  if (status == VASE_INVALID_ARGUMENT) throw nb::value_error(vase_last_error());
  throw std::runtime_error(vase_last_error());
}

/// Working memory for one stream that grows with what is asked of it. Never freed: at the end of
/// the process CUDA may be gone before it.
class Workspace {
 public:
  vase_cuda* fitting(const vase_cuda_limits& wanted) {
    const int32_t n_heads = std::max(limits_.n_heads, wanted.n_heads);
    const int32_t n_query_heads = std::max(limits_.n_query_heads, wanted.n_query_heads);
    const vase_cuda_limits both = {
        .items = std::max(limits_.items, wanted.items),
        .sequences = std::max(limits_.sequences, wanted.sequences),
        .n_heads = n_heads,
        // A multiple, never none.
        .n_query_heads = std::max(1, (n_query_heads + n_heads - 1) / n_heads) * n_heads,
        .n_rows = wanted.n_rows,  // it sets the layout of masks
        .n_queries = std::max(limits_.n_queries, wanted.n_queries),
        .keys_dim = std::max(limits_.keys_dim, wanted.keys_dim),
        .values_dim = std::max(limits_.values_dim, wanted.values_dim),
    };
    const auto numbers = [](const vase_cuda_limits& l) {
      return std::array{l.items,  l.sequences, l.n_heads,  l.n_query_heads,
                        l.n_rows, l.n_queries, l.keys_dim, l.values_dim};
    };
    if (handle_ == nullptr || numbers(both) != numbers(limits_)) {
      vase_cuda_destroy(std::exchange(handle_, nullptr));
      check(vase_cuda_create(&both, &handle_));
      limits_ = both;
    }
    return handle_;
  }

 private:
  vase_cuda* handle_ = nullptr;
  vase_cuda_limits limits_{};
};

/// The workspace of a stream for rows of this length. The GIL guards it.
Workspace& workspace_of(const DeviceStream& where, int32_t n_rows) {
  using Key = std::tuple<int, void*, int32_t>;
  static auto& all = *new std::map<Key, Workspace>;
  return all[{where.device, where.stream, n_rows}];
}

vase_cuda* handle_for(std::span<const vase_cuda_item> items, const DeviceStream& where) {
  vase_cuda_limits limits{};
  limits.items = static_cast<int32_t>(std::min<size_t>(items.size(), kItemsAtOnce));
  limits.sequences = 1;
  for (const vase_cuda_item& item : items) {
    limits.n_heads = std::max(limits.n_heads, item.layer.n_heads);
    limits.n_query_heads = std::max(limits.n_query_heads, item.layer.n_query_heads);
    limits.n_rows = std::max(limits.n_rows, device_mask_rows(item.layer.n_rows));
    limits.n_queries = std::max(limits.n_queries, item.layer.n_queries);
    limits.keys_dim = std::max(limits.keys_dim, item.layer.keys.dim);
    limits.values_dim = std::max(limits.values_dim, item.layer.values.dim);
  }
  return workspace_of(where, limits.n_rows).fitting(limits);
}

/// `layer`, whose positions and sums lie [n_heads][n_rows] on the device: cell i is row i.
vase_cuda_item item_of(const vase_layer& layer) {
  vase_cuda_item item{};
  item.layer = layer;
  item.positions = const_cast<int32_t*>(layer.positions);
  item.position_stride = layer.n_rows;
  item.layer.positions = nullptr;
  item.sums = layer.sums;
  item.layer.sums = nullptr;
  return item;
}

}  // namespace

bool built_with_cuda() { return true; }

int32_t device_mask_rows(int32_t n_rows) {
  constexpr int32_t kStep = 1024;  // so that texts of growing length share a workspace
  return (n_rows + kStep - 1) / kStep * kStep;
}

void select_on_device(const vase_params& params, const vase_layer& layer, uint8_t* keep,
                      const DeviceStream& where) {
  const vase_cuda_item item = item_of(layer);
  check(vase_cuda_select(handle_for({&item, 1}, where), &params, &item, 1, keep, where.stream));
}

void score_on_device(const vase_params& params, const vase_layer& layer, float* scores,
                     const DeviceStream& where) {
  const vase_cuda_item item = item_of(layer);
  check(vase_cuda_scores(handle_for({&item, 1}, where), &params, &item, 1, scores, where.stream));
}

void compact_on_device(const vase_layer& layer, const uint8_t* keep, int32_t freed, int32_t vacate,
                       int32_t* positions, const DeviceStream& where) {
  vase_cuda_item item = item_of(layer);
  item.positions = positions;
  check(vase_cuda_compact(handle_for({&item, 1}, where), &item, 1, keep, &freed, vacate, nullptr,
                          where.stream));
}

void evict_on_device(const vase_params& params, std::span<const EvictionItem> items,
                     const DeviceStream& where) {
  std::vector<vase_cuda_item> device_items;
  for (const EvictionItem& item : items) {
    vase_cuda_item& here = device_items.emplace_back(item_of(item.layer));
    here.n_new = item.n_new;
    here.new_position = item.new_position;
  }
  check(vase_cuda_evict(handle_for(device_items, where), &params, device_items.data(),
                        static_cast<int32_t>(device_items.size()), params.budget, nullptr,
                        where.stream));
}

}  // namespace vase::python
