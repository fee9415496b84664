#include "capi/check.hpp"

#include <bit>
#include <cmath>
#include <cstdarg>
#include <cstdio>

#include "core/rows.hpp"
#include "policy/policies.hpp"

namespace vase {
namespace {

thread_local char message[256] = "";

/// Far above any model, and low enough for products of them to stay in range.
constexpr int32_t kMaxRows = 1 << 28, kMaxDim = 1 << 16, kMaxHeads = 1 << 16, kMaxQueries = 1 << 20;

vase_status check_range(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return VASE_OK;
  return fail(VASE_INVALID_ARGUMENT, "%s is %lld; it must be in %lld .. %lld", name,
              static_cast<long long>(value), static_cast<long long>(low),
              static_cast<long long>(high));
}

vase_status check_rows(const char* name, const vase_rows& rows) {
  if (rows.data == nullptr) return fail(VASE_INVALID_ARGUMENT, "%s.data is null", name);
  if (rows.type < VASE_F32 || rows.type > VASE_Q4_0)
    return fail(VASE_INVALID_ARGUMENT,
                "%s.type is %d; known are f32, f16, bf16, q8_0, q4_0 (0 .. 4)", name,
                static_cast<int>(rows.type));
  if (rows.dim < 1 || rows.dim > kMaxDim)
    return fail(VASE_INVALID_ARGUMENT, "%s.dim is %d; it must be in 1 .. %d", name, rows.dim,
                kMaxDim);
  if (has_blocks(rows.type) && rows.dim % kBlockElements != 0)
    return fail(VASE_INVALID_ARGUMENT, "%s.dim is %d; %s rows come in blocks of 32", name, rows.dim,
                rows.type == VASE_Q8_0 ? "q8_0" : "q4_0");
  if (rows.rotation != 0 &&
      (rows.rotation < 0 || !std::has_single_bit(static_cast<uint32_t>(rows.rotation)) ||
       rows.dim % rows.rotation != 0))
    return fail(VASE_INVALID_ARGUMENT,
                "%s.rotation is %d; it must be 0 or a power of two that divides dim = %d", name,
                rows.rotation, rows.dim);
  return VASE_OK;
}

vase_status check_rope(const vase_rope& rope, int32_t dim) {
  if (rope.frequencies == nullptr) return VASE_OK;
  if (rope.pairs < 1 || rope.pairs > dim / 2)
    return fail(VASE_INVALID_ARGUMENT, "rope.pairs is %d; keys of %d elements have 1 .. %d pairs",
                rope.pairs, dim, dim / 2);
  if (rope.stride != 1 && (rope.stride < rope.pairs || rope.stride > dim - rope.pairs))
    return fail(
        VASE_INVALID_ARGUMENT,
        "rope.stride is %d; it must be 1 (neighbours), or in %d .. %d, so that %d pairs lie "
        "apart in %d elements",
        rope.stride, rope.pairs, dim - rope.pairs, rope.pairs, dim);
  return VASE_OK;
}

#define VASE_TRY(expression) \
  if (const vase_status status_ = (expression); status_ != VASE_OK) return status_

}  // namespace

vase_status fail(vase_status status, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return status;
}

const char* last_error() { return message; }

vase_status check_policy(const vase_policy* policy) {
  if (policy == nullptr)
    return fail(VASE_INVALID_ARGUMENT, "the policy is null: vase_policy_find knows no such name");
  for (const Policy* known : all_policies())
    if (policy == reinterpret_cast<const vase_policy*>(known)) return VASE_OK;
  return fail(VASE_INVALID_ARGUMENT, "the policy is none of vase_policy_at");
}

vase_status check_params(const vase_params& params) {
  VASE_TRY(check_policy(params.policy));
  VASE_TRY(check_range("budget", params.budget, 1, kMaxRows));
  VASE_TRY(check_range("recency", params.recency, 0, kMaxRows));
  VASE_TRY(check_range("interval", params.interval, 1, kMaxRows));
  VASE_TRY(check_range("window", params.window, 1, kMaxQueries));
  VASE_TRY(check_range("sinks", params.sinks, 0, kMaxRows));
  if (params.protect != VASE_PROTECT_AUTO && (params.protect < 0 || params.protect > kMaxRows))
    return fail(VASE_INVALID_ARGUMENT,
                "protect is %d; it must be in 0 .. %d, or be -1, VASE_PROTECT_AUTO", params.protect,
                kMaxRows);
  VASE_TRY(check_range("pooling", params.pooling, 1, kMaxRows));
  VASE_TRY(check_range("projections", params.projections, 1, 4096));
  if (params.pooling % 2 == 0)
    return fail(VASE_INVALID_ARGUMENT, "pooling is %d; it must be odd", params.pooling);
  if (!(params.temperature > 0) || !std::isfinite(params.temperature))
    return fail(VASE_INVALID_ARGUMENT, "temperature is %g; it must be above 0",
                static_cast<double>(params.temperature));
  if (!(params.lambda >= 0 && params.lambda <= 1))
    return fail(VASE_INVALID_ARGUMENT, "lambda is %g; it must be in 0 .. 1",
                static_cast<double>(params.lambda));
  if (policy_of(params).traits().evicts && int64_t{params.recency} + params.sinks >= params.budget)
    return fail(VASE_INVALID_ARGUMENT,
                "budget %d is too small: it must hold %d sinks, a recency window of %d and at "
                "least one row more",
                params.budget, params.sinks, params.recency);
  return VASE_OK;
}

vase_status check_layer(const vase_layer& layer) {
  VASE_TRY(check_range("n_heads", layer.n_heads, 1, kMaxHeads));
  VASE_TRY(check_range("n_rows", layer.n_rows, 1, kMaxRows));
  VASE_TRY(check_rows("keys", layer.keys));
  VASE_TRY(check_rows("values", layer.values));
  return check_rope(layer.rope, layer.keys.dim);
}

vase_status check_fit(const vase_params& params, const vase_layer& layer) {
  VASE_TRY(check_range("layer", layer.layer, 0, 0xffff));
  VASE_TRY(check_range("sequence", layer.sequence, 0, 0x7fffffff));
  if (!std::isfinite(layer.scale) || layer.scale < 0)
    return fail(VASE_INVALID_ARGUMENT, "scale is %g; it must be at least 0",
                static_cast<double>(layer.scale));
  const Policy& policy = policy_of(params);
  const Traits traits = policy.traits();
  if (!traits.queries && !traits.calibration) return VASE_OK;
  if (traits.queries && layer.queries == nullptr)
    return fail(VASE_QUERIES_MISSING, "policy %s scores by attention: layer.queries must be set",
                policy.name());
  if (traits.calibration && layer.calibration == nullptr)
    return fail(VASE_CALIBRATION_MISSING,
                "policy %s needs what was measured of the model's queries: layer.calibration must "
                "be set (vase calibrate -m MODEL -f TEXT -o FILE measures it)",
                policy.name());
  if (traits.queries) VASE_TRY(check_range("n_queries", layer.n_queries, 1, kMaxQueries));
  VASE_TRY(check_range("n_query_heads", layer.n_query_heads, 1, kMaxHeads));
  if (layer.n_query_heads % layer.n_heads != 0)
    return fail(VASE_INVALID_ARGUMENT, "n_query_heads is %d; it must be a multiple of n_heads = %d",
                layer.n_query_heads, layer.n_heads);
  return VASE_OK;
}

vase_status check_heads(const vase_layer& layer, int32_t head_first, int32_t head_count) {
  if (head_first >= 0 && head_count >= 0 && int64_t{head_first} + head_count <= layer.n_heads)
    return VASE_OK;
  return fail(VASE_INVALID_ARGUMENT, "heads %d .. %lld are not in 0 .. %d", head_first,
              static_cast<long long>(head_first) + head_count - 1, layer.n_heads - 1);
}

}  // namespace vase
