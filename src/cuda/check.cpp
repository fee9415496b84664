#include "cuda/check.hpp"

#include <algorithm>

#include "capi/check.hpp"
#include "cuda/recipe.hpp"
#include "cuda/vectors.hpp"

#define VASE_TRY(expression) \
  if (const vase_status status_ = (expression); status_ != VASE_OK) return status_

namespace vase::cuda {
namespace {

vase_status check_count(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return VASE_OK;
  return fail(VASE_INVALID_ARGUMENT, "%s is %lld; it must be in %lld .. %lld", name,
              static_cast<long long>(value), static_cast<long long>(low),
              static_cast<long long>(high));
}

vase_status check_limit(const char* name, int64_t value, int64_t limit, int32_t index) {
  if (value <= limit) return VASE_OK;
  return fail(VASE_INVALID_ARGUMENT,
              "item %d: %s is %lld, but the handle was made for at most %lld", index, name,
              static_cast<long long>(value), static_cast<long long>(limit));
}

/// Rows are read in whole elements, and blocks in pairs of bytes.
vase_status check_alignment(const char* name, const vase_rows& rows, int32_t index) {
  const int64_t unit = rows.type == VASE_F32 ? 4 : 2;
  if (reinterpret_cast<intptr_t>(rows.data) % unit == 0 && rows.row_stride % unit == 0 &&
      rows.head_stride % unit == 0)
    return VASE_OK;
  return fail(VASE_INVALID_ARGUMENT,
              "item %d: %s.data and its strides must be multiples of %lld bytes", index, name,
              static_cast<long long>(unit));
}

bool same_shape(const vase_rows& a, const vase_rows& b) {
  return a.type == b.type && a.dim == b.dim && a.rotation == b.rotation;
}

bool same_rope(const vase_rope& a, const vase_rope& b) {
  if (a.frequencies == nullptr || b.frequencies == nullptr) return a.frequencies == b.frequencies;
  return a.pairs == b.pairs && a.stride == b.stride;
}

vase_status check_alike(const vase_layer& first, const vase_layer& layer, int32_t index) {
  if (layer.n_heads == first.n_heads && layer.n_query_heads == first.n_query_heads &&
      layer.n_queries == first.n_queries && same_shape(layer.keys, first.keys) &&
      same_shape(layer.values, first.values) && same_rope(layer.rope, first.rope))
    return VASE_OK;
  return fail(VASE_INVALID_ARGUMENT,
              "item %d differs from item 0 in heads, queries, dims, types, rotations, or in its "
              "rope's pairs, stride or having frequencies; items of one call are alike in them",
              index);
}

vase_status check_item(const vase_cuda_limits& limits, const vase_cuda_item& item, int32_t index) {
  const vase_layer& layer = item.layer;
  VASE_TRY(check_layer(layer));
  VASE_TRY(check_limit("n_heads", layer.n_heads, limits.n_heads, index));
  VASE_TRY(check_limit("n_rows", layer.n_rows, limits.n_rows, index));
  VASE_TRY(check_limit("keys.dim", layer.keys.dim, limits.keys_dim, index));
  VASE_TRY(check_limit("values.dim", layer.values.dim, limits.values_dim, index));
  VASE_TRY(check_alignment("keys", layer.keys, index));
  VASE_TRY(check_alignment("values", layer.values, index));
  if (layer.positions != nullptr)
    return fail(VASE_INVALID_ARGUMENT,
                "item %d: layer.positions must be null; vase_cuda_item.positions takes its place",
                index);
  if (layer.sums != nullptr)
    return fail(VASE_INVALID_ARGUMENT,
                "item %d: layer.sums must be null; vase_cuda_item.sums takes its place", index);
  if ((item.positions != nullptr || item.sums != nullptr) && item.position_stride < 1)
    return fail(VASE_INVALID_ARGUMENT, "item %d: position_stride is %lld; it must be at least 1",
                index, static_cast<long long>(item.position_stride));
  if (item.n_new < 0 || item.n_new > layer.n_rows || item.new_position < 0 ||
      item.new_position > INT32_MAX - item.n_new)
    return fail(VASE_INVALID_ARGUMENT,
                "item %d: %d new rows from position %d do not fit into n_rows = %d", index,
                item.n_new, item.new_position, layer.n_rows);
  if (item.n_new > 0 && item.positions == nullptr)
    return fail(VASE_INVALID_ARGUMENT, "item %d: n_new is %d, but positions is null", index,
                item.n_new);
  return VASE_OK;
}

vase_status check_query_heads(const vase_cuda_limits& limits, const vase_cuda_item& item,
                              int32_t index) {
  return check_limit("n_query_heads", item.layer.n_query_heads, limits.n_query_heads, index);
}

vase_status check_queries(const vase_cuda_limits& limits, const vase_cuda_item& item,
                          int32_t index) {
  VASE_TRY(check_query_heads(limits, item, index));
  VASE_TRY(check_limit("n_queries", item.layer.n_queries, limits.n_queries, index));
  if (item.query_head_stride % 4 != 0 || item.query_token_stride % 4 != 0)
    return fail(VASE_INVALID_ARGUMENT, "item %d: query strides must be multiples of 4 bytes",
                index);
  return VASE_OK;
}

}  // namespace

vase_status check_limits(const vase_cuda_limits& limits) {
  VASE_TRY(check_count("limits.n_heads", limits.n_heads, 1, 1024));
  // Units are counted by the y and z sizes of a grid.
  VASE_TRY(check_count("limits.items", limits.items, 1, 65535 / limits.n_heads));
  VASE_TRY(check_count("limits.sequences", limits.sequences, 1, limits.items));
  VASE_TRY(check_count("limits.n_rows", limits.n_rows, 1,
                       INT32_MAX / (int64_t{limits.items} * limits.n_heads)));
  VASE_TRY(check_count("limits.n_queries", limits.n_queries, 0, 1 << 16));
  VASE_TRY(check_count("limits.n_query_heads", limits.n_query_heads, limits.n_heads, 1 << 14));
  if (limits.n_query_heads % limits.n_heads != 0)
    return fail(VASE_INVALID_ARGUMENT,
                "limits.n_query_heads is %d; it must be a multiple of n_heads = %d",
                limits.n_query_heads, limits.n_heads);
  VASE_TRY(check_count("limits.keys_dim", limits.keys_dim, 1, kMostDim));
  return check_count("limits.values_dim", limits.values_dim, 1, kMostDim);
}

vase_status check_items(const vase_cuda_limits& limits, std::span<const vase_cuda_item> items) {
  for (size_t i = 0; i < items.size(); ++i) {
    VASE_TRY(check_item(limits, items[i], static_cast<int32_t>(i)));
    VASE_TRY(check_alike(items[0].layer, items[i].layer, static_cast<int32_t>(i)));
  }
  return VASE_OK;
}

vase_status check_policy(const vase_cuda_limits& limits, const vase_params& params,
                         std::span<const vase_cuda_item> items) {
  VASE_TRY(check_params(params));
  const std::optional<Recipe> recipe = recipe_of(params.policy);
  if (!recipe)
    return fail(VASE_INVALID_ARGUMENT, "policy %s has no CUDA kernels (vase_cuda_supports)",
                policy_of(params).name());
  if (recipe->score == DeviceScore::kLeverage && params.projections > kMostProjections)
    return fail(VASE_INVALID_ARGUMENT, "projections is %d; the CUDA kernels take at most %d",
                params.projections, kMostProjections);
  for (size_t i = 0; i < items.size(); ++i) {
    VASE_TRY(check_fit(params, items[i].layer));
    const auto index = static_cast<int32_t>(i);
    if (recipe->attends()) VASE_TRY(check_queries(limits, items[i], index));
    if (recipe->score == DeviceScore::kUsualAttention)
      VASE_TRY(check_query_heads(limits, items[i], index));
  }
  return VASE_OK;
}

vase_status check_cuda(cudaError_t error, const char* doing) {
  if (error == cudaSuccess) return VASE_OK;
  return fail(VASE_DEVICE_FAILED, "CUDA: %s failed: %s", doing, cudaGetErrorString(error));
}

}  // namespace vase::cuda
