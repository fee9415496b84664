#include "cuda/turns.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "core/rows.hpp"
#include "core/thinned_queries.hpp"
#include "cuda/check.hpp"
#include "cuda/launch.hpp"
#include "cuda/recipe.hpp"
#include "cuda/vectors.hpp"

namespace vase::cuda {
namespace {

bool starts_at_16(const vase_rows& rows) {
  return !has_blocks(rows.type) && reinterpret_cast<uintptr_t>(rows.data) % 16 == 0 &&
         rows.row_stride % 16 == 0 && rows.head_stride % 16 == 0;
}

/// Shape and parameters: all of the call but its items.
DeviceCall describe(const vase_cuda_limits& limits, const Request& request) {
  const vase_layer& layer = request.items.front().layer;
  DeviceCall call{};
  call.n_heads = layer.n_heads;
  call.group = std::max(1, layer.n_query_heads / layer.n_heads);
  call.n_queries = layer.n_queries;
  call.keys = {layer.keys.type, layer.keys.dim, layer.keys.rotation, 1};
  call.values = {layer.values.type, layer.values.dim, layer.values.rotation, 1};
  if (layer.rope.frequencies != nullptr) call.rope = {layer.rope.pairs, layer.rope.stride};
  call.row_capacity = limits.n_rows;
  if (request.params == nullptr) return call;

  const vase_params& params = *request.params;
  call.recipe = *recipe_of(params.policy);
  call.n_queries = thinned_queries(layer.n_queries, call.recipe.every).count;
  call.keeps_sums = request.wish == Wish::kScores ? 0 : 1;
  call.budget = params.budget;
  call.recency = params.recency;
  call.sinks = params.sinks;
  call.protect = params.protect;
  call.pooling = params.pooling;
  call.projections = params.projections;
  call.resample = params.resample;
  call.lambda = params.lambda;
  call.seed = params.seed;
  return call;
}

/// As score/attention.cpp: kernels compute powers of 2.
float logit_scale(const vase_layer& layer, const vase_params* params) {
  if (params == nullptr) return 0;
  const float scale =
      layer.scale != 0 ? layer.scale : 1.0f / std::sqrt(static_cast<float>(layer.keys.dim));
  return scale / params->temperature * std::numbers::log2e_v<float>;
}

/// Rows that each head of item `i` gives up.
int32_t freed_by(const Request& request, size_t i) {
  if (request.wish == Wish::kMoves) return request.freed[i];
  const bool evicts = recipe_of(request.params->policy)->evicts;
  return evicts ? std::max(0, request.items[i].layer.n_rows - request.params->budget) : 0;
}

DeviceItem describe_item(const Request& request, size_t index) {
  const vase_cuda_item& item = request.items[index];
  const vase_layer& layer = item.layer;
  const auto rows = [](const vase_rows& r) {
    return DeviceRows{static_cast<std::byte*>(r.data), r.row_stride, r.head_stride};
  };
  const bool dense = item.query_head_stride == 0 && item.query_token_stride == 0;
  const int64_t query_bytes = int64_t{layer.keys.dim} * 4;
  DeviceItem out{};
  out.keys = rows(layer.keys);
  out.values = rows(layer.values);
  out.positions = item.positions;
  out.position_stride = item.position_stride;
  out.sums = item.sums;
  out.queries = layer.queries;
  out.query_token_stride = dense ? query_bytes : item.query_token_stride;
  out.query_head_stride = dense ? query_bytes * layer.n_queries : item.query_head_stride;
  if (out.queries != nullptr && request.params != nullptr) {
    const int32_t every = recipe_of(request.params->policy)->every;
    const ThinnedQueries asked = thinned_queries(layer.n_queries, every);
    out.queries = reinterpret_cast<const float*>(reinterpret_cast<const std::byte*>(out.queries) +
                                                 asked.first * out.query_token_stride);
    out.query_token_stride *= asked.step;
  }
  out.gauss = layer.gauss;
  out.calibration = layer.calibration;
  out.frequencies = layer.rope.frequencies;
  out.n_rows = layer.n_rows;
  out.n_new = request.wish == Wish::kMoves ? 0 : item.n_new;
  out.new_position = item.new_position;
  out.pinned_begin = layer.pinned_begin;
  out.pinned_end = layer.pinned_end;
  out.pinned_first = layer.pinned_first;
  out.freed = freed_by(request, index);
  out.active =
      request.wish == Wish::kScores ? recipe_of(request.params->policy)->evicts : out.freed > 0;
  out.logit_scale = logit_scale(layer, request.params);
  out.sequence = layer.sequence;
  out.eviction = layer.eviction;
  out.layer = layer.layer;
  return out;
}

/// Bits that hold every token position of the item.
int32_t token_bits(const vase_cuda_item& item) {
  if (item.positions != nullptr && item.n_new == 0) return 32;
  const int32_t end =
      item.positions != nullptr ? item.new_position + item.n_new : item.layer.n_rows;
  return std::max(1, static_cast<int32_t>(std::bit_width(static_cast<uint32_t>(end))));
}

/// Elements of packed queries, in all planes, that an item of the turn takes; 0: there are none.
int64_t query_elements(DeviceCall call) {
  call.n_items = 1;
  return call.recipe.attends() ? queries_of(call).elements() : 0;
}

/// Items from `first` that fit into one turn.
size_t turn_length(const vase_cuda_limits& limits, const Layout& layout, const DeviceCall& shape,
                   const Request& request, size_t first) {
  size_t most = static_cast<size_t>(limits.items);
  const int64_t elements = request.params != nullptr ? query_elements(shape) : 0;
  if (elements > 0) most = std::min(most, static_cast<size_t>(layout.plane_elements / elements));
  std::vector<const int32_t*> lists;
  size_t count = 0;
  for (; first + count < request.items.size() && count < most; ++count) {
    const int32_t* cells = request.items[first + count].layer.cells;
    if (cells == nullptr || std::find(lists.begin(), lists.end(), cells) != lists.end()) continue;
    if (lists.size() == static_cast<size_t>(limits.sequences)) break;
    lists.push_back(cells);
  }
  return count;
}

/// Sends items [first, first + count) and their cells; completes `call`.
void upload_turn(const vase_cuda_limits& limits, const Layout& layout, const Request& request,
                 size_t first, size_t count, DeviceCall& call, cudaStream_t stream) {
  struct Sent {
    const int32_t* host;
    int32_t rows;
    int32_t* device;
  };
  std::vector<Sent> sent;
  std::vector<DeviceItem> items;
  items.reserve(count);
  call.token_bits = 1;
  for (size_t i = first; i < first + count; ++i) {
    const vase_cuda_item& item = request.items[i];
    DeviceItem out = describe_item(request, i);
    if (const int32_t* cells = item.layer.cells; cells != nullptr) {
      auto known =
          std::find_if(sent.begin(), sent.end(), [&](const Sent& s) { return s.host == cells; });
      if (known == sent.end())
        known = sent.insert(
            sent.end(),
            {cells, 0, layout.cells + sent.size() * static_cast<size_t>(limits.n_rows)});
      known->rows = std::max(known->rows, item.layer.n_rows);
      out.cells = known->device;
    }
    call.most_rows = std::max(call.most_rows, out.n_rows);
    call.most_freed = std::max(call.most_freed, out.freed);
    call.token_bits = std::max(call.token_bits, token_bits(item));
    call.keys.vector_loads &= starts_at_16(item.layer.keys) ? 1 : 0;
    call.values.vector_loads &= starts_at_16(item.layer.values) ? 1 : 0;
    items.push_back(out);
  }
  call.n_items = static_cast<int32_t>(count);
  call.items = layout.items;
  for (const Sent& s : sent) upload_cells({s.host, static_cast<size_t>(s.rows)}, s.device, stream);
  upload_items(items, layout.items, stream);
}

/// Calls step(name, launch) for what the policy scores by.
template <typename Step>
void score(const DeviceCall& call, Scratch& scratch, const Step& step) {
  if (call.recipe.attends()) {
    step("queries", pack_queries);
    step("log_sum_exp", log_sum_exp);
    step("attention", attention_sums);
  }
  if (call.recipe.score == DeviceScore::kAttentionSoFar) step("sums", add_to_sums);
  if (call.ranges()) step("ranges", value_ranges);
  if (call.recipe.score == DeviceScore::kRedundancy) step("similarities", similarities);
  if (call.recipe.score == DeviceScore::kKeyDiff) step("key_differences", key_differences);
  if (call.recipe.score == DeviceScore::kUsualAttention) step("usual_attention", usual_attention);
  if (call.recipe.score == DeviceScore::kLeverage) step("energies", projected_energies);
  // The attention is kept aside: `first` is for the novelty.
  if (call.recipe.score == DeviceScore::kHeededNovelty) std::swap(scratch.first, scratch.third);
  if (call.recipe.score == DeviceScore::kNovelty ||
      call.recipe.score == DeviceScore::kHeededNovelty) {
    step("novelty", novelties);
    step("distances", value_distances);
  }
}

bool anything_active(const Request& request, size_t first, size_t count) {
  if (request.wish == Wish::kScores) return recipe_of(request.params->policy)->evicts;
  for (size_t i = first; i < first + count; ++i)
    if (freed_by(request, i) > 0) return true;
  return false;
}

void run_turn(const vase_cuda_limits& limits, const Layout& layout, const Request& request,
              size_t first, size_t count, DeviceCall call, cudaStream_t stream) {
  Scratch scratch = layout.scratch;
  upload_turn(limits, layout, request, first, count, call, stream);
  const size_t units_before = first * static_cast<size_t>(call.n_heads);
  const size_t rows_before = units_before * static_cast<size_t>(call.row_capacity);
  int32_t* moved = request.moved != nullptr ? request.moved + units_before : nullptr;

  const auto done = [&](const char* name) {
    if (request.after_step) request.after_step(name);
  };
  done("upload");
  uint8_t* keep = request.keep != nullptr ? request.keep + rows_before : scratch.keep;
  if (request.wish != Wish::kMoves) {
    order_rows(call, scratch, stream);
    done("order");
    if (anything_active(request, first, count))
      score(call, scratch, [&](const char* name, auto launch) {
        launch(call, scratch, stream);
        done(name);
      });
    const bool scores_only = request.wish == Wish::kScores;
    choose_rows(call, scratch, scores_only ? nullptr : keep,
                scores_only ? request.scores + rows_before : nullptr, stream);
    done("choose");
  }
  if (request.wish == Wish::kMoves || request.wish == Wish::kEvict) {
    plan_moves(call, scratch, keep, request.vacate_first, moved, stream);
    done("plan");
    move_rows(call, scratch, stream);
    done("moves");
  }
}

/// What a block may share on the current device, or less if the request says so.
vase_status find_shared_bytes(const Request& request, int32_t& bytes) {
  int device = 0, most = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess)
    error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  bytes = std::min(request.shared_bytes, most);
  return check_cuda(error, "asking for the size of shared memory");
}

}  // namespace

vase_status run(const vase_cuda_limits& limits, const Layout& layout, const Request& request,
                cudaStream_t stream) {
  if (request.items.empty()) return VASE_OK;
  DeviceCall shape = describe(limits, request);
  if (const vase_status status = find_shared_bytes(request, shape.shared_bytes); status != VASE_OK)
    return status;
  for (size_t first = 0; first < request.items.size();) {
    const size_t count = turn_length(limits, layout, shape, request, first);
    run_turn(limits, layout, request, first, count, shape, stream);
    first += count;
  }
  return check_cuda(cudaGetLastError(), "launching the eviction");
}

}  // namespace vase::cuda
