#include "cuda/versioned.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "capi/versioned.hpp"

#define VASE_TRY(expression) \
  if (const vase_status status_ = (expression); status_ != VASE_OK) return status_

namespace vase::cuda {
namespace {

constexpr size_t kLayerAt = offsetof(vase_cuda_item, layer);
constexpr size_t kBehindLayer = offsetof(vase_cuda_item, query_head_stride);
static_assert(kBehindLayer == kLayerAt + sizeof(vase_layer), "nothing between them");

size_t size_at(const std::byte* at) {
  size_t size = 0;
  std::memcpy(&size, at, sizeof size);
  return size;
}

vase_status read_item(const std::byte* given, int32_t index, vase_cuda_item& out) {
  const size_t size = size_at(given);
  const bool has_layer = size >= kLayerAt + kLeastLayer && size <= kMostStructBytes;
  const size_t layer_size = has_layer ? size_at(given + kLayerAt) : 0;
  if (!has_layer || layer_size % alignof(vase_layer) != 0 ||
      (layer_size >= kLeastLayer && layer_size > size - kLayerAt))
    return fail(VASE_INVALID_ARGUMENT,
                "item %d: size is %zu and layer.size %zu; set them to sizeof(vase_cuda_item) and "
                "sizeof(vase_layer), %zu and %zu in version %s",
                index, size, layer_size, sizeof(vase_cuda_item), sizeof(vase_layer), VASE_VERSION);
  VASE_TRY(read_versioned("item.layer", "vase_layer", given + kLayerAt, kLeastLayer, out.layer));

  const std::byte* behind = given + kLayerAt + layer_size;
  const size_t there = size - kLayerAt - layer_size, known = sizeof(vase_cuda_item) - kBehindLayer;
  std::memcpy(reinterpret_cast<std::byte*>(&out) + kBehindLayer, behind, std::min(there, known));
  for (size_t at = known; at < there; ++at)
    if (behind[at] != std::byte{0})
      return fail(VASE_INVALID_ARGUMENT,
                  "item %d has a field set that version %s of libvase does not know: leave new "
                  "fields 0, or take the libvase that goes with the header",
                  index, VASE_VERSION);
  return VASE_OK;
}

}  // namespace

vase_status read_limits(const vase_cuda_limits* given, vase_cuda_limits& out) {
  if (given == nullptr) return fail(VASE_INVALID_ARGUMENT, "limits is null");
  constexpr size_t kLeast = offsetof(vase_cuda_limits, values_dim) + sizeof(int32_t);
  out = vase_cuda_limits{};
  return read_versioned("limits", "vase_cuda_limits", given, kLeast, out);
}

vase_status read_items(const vase_cuda_item* given, int32_t n_items,
                       std::vector<vase_cuda_item>& out) {
  if (n_items < 0) return fail(VASE_INVALID_ARGUMENT, "n_items is %d", n_items);
  if (n_items > 0 && given == nullptr) return fail(VASE_INVALID_ARGUMENT, "items is null");
  out.assign(static_cast<size_t>(n_items), vase_cuda_item{});
  const auto* at = reinterpret_cast<const std::byte*>(given);
  const size_t apart = n_items > 0 ? size_at(at) : 0;
  for (int32_t i = 0; i < n_items; ++i, at += apart) {
    VASE_TRY(read_item(at, i, out[static_cast<size_t>(i)]));
    if (size_at(at) != apart)
      return fail(VASE_INVALID_ARGUMENT,
                  "item %d: size is %zu, that of item 0 %zu; all items of a call have the same", i,
                  size_at(at), apart);
  }
  return VASE_OK;
}

}  // namespace vase::cuda
