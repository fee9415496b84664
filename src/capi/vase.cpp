// The C interface: checks, then one call a head.
#include "vase/vase.h"

#include <algorithm>

#include "capi/check.hpp"
#include "capi/versioned.hpp"
#include "core/hole_filling.hpp"
#include "policy/eviction.hpp"
#include "policy/policies.hpp"

using vase::Policy;

namespace {

const Policy& unwrap(const vase_policy* policy) { return *reinterpret_cast<const Policy*>(policy); }
const vase_policy* wrap(const Policy* policy) {
  return reinterpret_cast<const vase_policy*>(policy);
}

// False, with a message for vase_last_error, if there is no policy behind the handle.
bool is_policy(const vase_policy* policy) { return vase::check_policy(policy) == VASE_OK; }

/// The structs of a call, as this version has them.
struct Arguments {
  vase_params params;
  vase_layer layer;
};

#define VASE_TRY(expression) \
  if (const vase_status status_ = (expression); status_ != VASE_OK) return status_

vase_status read_layer(const vase_layer* layer, int32_t head_first, int32_t head_count,
                       vase_layer& out) {
  VASE_TRY(vase::read_layer(layer, out));
  VASE_TRY(vase::check_layer(out));
  return vase::check_heads(out, head_first, head_count);
}

vase_status read_arguments(const vase_params* params, const vase_layer* layer, int32_t head_first,
                           int32_t head_count, Arguments& out) {
  VASE_TRY(vase::read_params(params, out.params));
  VASE_TRY(vase::check_params(out.params));
  return read_layer(layer, head_first, head_count, out.layer);
}

vase_status read_selection(const vase_params* params, const vase_layer* layer, int32_t head_first,
                           int32_t head_count, Arguments& out) {
  VASE_TRY(read_arguments(params, layer, head_first, head_count, out));
  return vase::check_fit(out.params, out.layer);
}

vase_status check_workspace(const vase_params& params, const vase_layer& layer,
                            const void* workspace, size_t size) {
  if (workspace == nullptr) return vase::fail(VASE_INVALID_ARGUMENT, "workspace is null");
  const size_t needed = vase::eviction_workspace(vase::policy_of(params), params, layer);
  if (size >= needed) return VASE_OK;
  return vase::fail(VASE_WORKSPACE_TOO_SMALL,
                    "workspace has %zu bytes; %zu are needed (vase_workspace_size)", size, needed);
}

/// Calls work(head, arena) for each head of the range, with the whole workspace each time.
template <typename Work>
vase_status for_heads(int32_t head_first, int32_t head_count, void* workspace, size_t size,
                      const Work& work) {
  try {
    for (int32_t head = head_first; head < head_first + head_count; ++head)
      work(head, vase::Arena(workspace, size));
    return VASE_OK;
  } catch (const vase::ArenaFull&) {
    return vase::fail(VASE_WORKSPACE_TOO_SMALL,
                      "a workspace of %zu bytes did not do, though vase_workspace_size said so: "
                      "please report this as a bug of libvase",
                      size);
  }
}

}  // namespace

const char* vase_last_error(void) { return vase::last_error(); }
const char* vase_version(void) { return VASE_VERSION; }

int32_t vase_policy_count(void) { return static_cast<int32_t>(vase::all_policies().size()); }

const vase_policy* vase_policy_at(int32_t index) {
  if (index < 0 || index >= vase_policy_count()) return nullptr;
  return wrap(vase::all_policies()[static_cast<size_t>(index)]);
}

const vase_policy* vase_policy_find(const char* name) {
  return name == nullptr ? nullptr : wrap(vase::find_policy(name));
}

const vase_policy* vase_policy_default(void) { return wrap(&vase::default_policy()); }

const char* vase_policy_name(const vase_policy* policy) {
  return is_policy(policy) ? unwrap(policy).name() : "";
}
const char* vase_policy_summary(const vase_policy* policy) {
  return is_policy(policy) ? unwrap(policy).summary() : "";
}
int32_t vase_policy_needs_queries(const vase_policy* policy) {
  return is_policy(policy) && unwrap(policy).traits().queries ? 1 : 0;
}
int32_t vase_policy_evicts(const vase_policy* policy) {
  return is_policy(policy) && unwrap(policy).traits().evicts ? 1 : 0;
}
float vase_policy_default_pin(const vase_policy* policy) {
  return is_policy(policy) ? unwrap(policy).traits().pin : 0.0f;
}
const vase_policy* vase_policy_full(void) { return wrap(&vase::full_policy()); }
int32_t vase_policy_uses_rope(const vase_policy* policy) {
  return is_policy(policy) && unwrap(policy).traits().rope ? 1 : 0;
}
int32_t vase_policy_protects_widest(const vase_policy* policy) {
  return is_policy(policy) && unwrap(policy).traits().protect == vase::Protect::kWidestValues ? 1
                                                                                              : 0;
}
int32_t vase_policy_sums_up(const vase_policy* policy) {
  return is_policy(policy) && unwrap(policy).traits().sums ? 1 : 0;
}
int32_t vase_policy_needs_calibration(const vase_policy* policy) {
  return is_policy(policy) && unwrap(policy).traits().calibration ? 1 : 0;
}
int32_t vase_policy_is_ablation(const vase_policy* policy) {
  return is_policy(policy) && unwrap(policy).traits().ablation ? 1 : 0;
}
int32_t vase_policy_looks_at(const vase_policy* policy, const char* parameter) {
  return is_policy(policy) && parameter != nullptr &&
                 vase::looks_at(unwrap(policy).traits(), parameter)
             ? 1
             : 0;
}

vase_status vase_params_init(vase_params* params, size_t size, const vase_policy* policy,
                             int32_t budget) {
  if (params == nullptr) return vase::fail(VASE_INVALID_ARGUMENT, "params is null");
  vase_params all{};
  all.size = size;
  all.policy = policy;
  all.budget = budget;
  const vase::Pace pace = policy != nullptr && is_policy(policy)
                              ? unwrap(policy).traits().pace(budget)
                              : vase::published_pace(budget);
  all.recency = pace.recency;
  all.interval = pace.interval;
  all.window = 64;
  all.sinks = 4;
  all.protect = budget / 4;
  all.pooling = 5;
  all.projections = 20;
  all.resample = 1;
  all.temperature = 1.0f;
  all.lambda = 0.5f;
  return vase::write_versioned("vase_params_init: size", all, size, params);
}

vase_status vase_params_check(const vase_params* params) {
  vase_params read;
  VASE_TRY(vase::read_params(params, read));
  return vase::check_params(read);
}

size_t vase_workspace_size(const vase_params* params, const vase_layer* layer) {
  Arguments call;
  if (read_arguments(params, layer, 0, 0, call) != VASE_OK) return 0;
  return vase::eviction_workspace(vase::policy_of(call.params), call.params, call.layer);
}

vase_status vase_select(const vase_params* params, const vase_layer* layer, int32_t head_first,
                        int32_t head_count, uint8_t* keep, void* workspace, size_t workspace_size) {
  Arguments call;
  VASE_TRY(read_selection(params, layer, head_first, head_count, call));
  if (keep == nullptr) return vase::fail(VASE_INVALID_ARGUMENT, "keep is null");
  VASE_TRY(check_workspace(call.params, call.layer, workspace, workspace_size));
  const auto n = static_cast<size_t>(call.layer.n_rows);
  return for_heads(
      head_first, head_count, workspace, workspace_size, [&](int32_t head, vase::Arena arena) {
        vase::select_head(vase::policy_of(call.params), call.params, call.layer, head,
                          vase::best_kernels(), arena, {keep + static_cast<size_t>(head) * n, n});
      });
}

vase_status vase_scores(const vase_params* params, const vase_layer* layer, int32_t head_first,
                        int32_t head_count, float* scores, void* workspace, size_t workspace_size) {
  Arguments call;
  VASE_TRY(read_selection(params, layer, head_first, head_count, call));
  if (scores == nullptr) return vase::fail(VASE_INVALID_ARGUMENT, "scores is null");
  VASE_TRY(check_workspace(call.params, call.layer, workspace, workspace_size));
  const auto n = static_cast<size_t>(call.layer.n_rows);
  return for_heads(
      head_first, head_count, workspace, workspace_size, [&](int32_t head, vase::Arena arena) {
        vase::score_head(vase::policy_of(call.params), call.params, call.layer, head,
                         vase::best_kernels(), arena, {scores + static_cast<size_t>(head) * n, n});
      });
}

vase_status vase_protected(const vase_params* params, const vase_layer* layer, int32_t head_first,
                           int32_t head_count, int32_t* rows, void* workspace,
                           size_t workspace_size) {
  Arguments call;
  VASE_TRY(read_arguments(params, layer, head_first, head_count, call));
  if (rows == nullptr) return vase::fail(VASE_INVALID_ARGUMENT, "rows is null");
  VASE_TRY(check_workspace(call.params, call.layer, workspace, workspace_size));
  return for_heads(
      head_first, head_count, workspace, workspace_size, [&](int32_t head, vase::Arena arena) {
        rows[head] = vase::protected_in_head(vase::policy_of(call.params), call.params, call.layer,
                                             head, vase::best_kernels(), arena);
      });
}

vase_status vase_value_ranges(const vase_layer* given, int32_t head_first, int32_t head_count,
                              float* ranges, void* workspace, size_t workspace_size) {
  vase_layer layer;
  VASE_TRY(read_layer(given, head_first, head_count, layer));
  if (ranges == nullptr) return vase::fail(VASE_INVALID_ARGUMENT, "ranges is null");
  if (workspace == nullptr) return vase::fail(VASE_INVALID_ARGUMENT, "workspace is null");
  const auto n = static_cast<size_t>(layer.n_rows);
  return for_heads(head_first, head_count, workspace, workspace_size,
                   [&](int32_t head, vase::Arena arena) {
                     vase::value_ranges_of_head(layer, head, vase::best_kernels(), arena,
                                                {ranges + static_cast<size_t>(head) * n, n});
                   });
}

vase_status vase_compact(const vase_layer* given, const uint8_t* keep, int32_t vacate_first,
                         int32_t head_first, int32_t head_count, int32_t* positions) {
  vase_layer layer;
  VASE_TRY(read_layer(given, head_first, head_count, layer));
  if (keep == nullptr) return vase::fail(VASE_INVALID_ARGUMENT, "keep is null");

  const auto n = static_cast<size_t>(layer.n_rows);
  const auto given_up = [&](int32_t head) {
    const uint8_t* mask = keep + static_cast<size_t>(head) * n;
    return static_cast<int32_t>(std::count(mask, mask + n, uint8_t{0}));
  };
  // All heads are checked before the first row moves: a refused call changes nothing.
  const int32_t count = head_count > 0 ? given_up(head_first) : 0;
  for (int32_t head = head_first + 1; head < head_first + head_count; ++head)
    if (given_up(head) != count)
      return vase::fail(
          VASE_MASK_UNEVEN,
          "keep gives up %d rows of head %d and %d of head %d; all heads give up the same number",
          count, head_first, given_up(head), head);
  if (vacate_first < 0 || int64_t{vacate_first} + count > layer.n_rows)
    return vase::fail(VASE_INVALID_ARGUMENT,
                      "vacate_first is %d; %d rows from there do not fit into n_rows = %d",
                      vacate_first, count, layer.n_rows);

  for (int32_t head = head_first; head < head_first + head_count; ++head) {
    const size_t offset = static_cast<size_t>(head) * n;
    vase::fill_holes(layer, head, keep + offset, vacate_first, count,
                     positions != nullptr ? positions + offset : nullptr);
  }
  return VASE_OK;
}
