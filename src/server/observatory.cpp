#include "server/observatory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "engine/machine.hpp"
#include "server/error.hpp"
#include "server/json.hpp"
#include "server/row_reasons.hpp"

namespace vase::server {
namespace {

// A number of the query string that counts something of which there are `count`.
std::int32_t index_of(const std::string &text, const char *name, std::int32_t count) {
  std::int32_t value = 0;
  const char *end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || value < 0 || value >= count) {
    throw invalid_field(name, fmt::format("must be a number from 0 to {}", count - 1));
  }
  return value;
}

OrderedJson as_json(const SlotStatus &slot, std::size_t id, std::int32_t capacity) {
  return {{"id", id},
          {"busy", slot.busy()},
          {"state", slot.state},
          {"tokens", slot.tokens},
          {"generated", slot.generated},
          {"rows", slot.rows},
          {"budget", slot.budget},
          {"capacity", capacity},
          {"evictions", slot.evictions},
          {"tokens_per_second", slot.tokens_per_second},
          {"policy", slot.policy}};
}

// What llama.cpp computes in and keeps beside weights and cache.
std::size_t beside_the_cache(const MemoryPlan &plan) {
  return plan.compute + plan.structures + plan.unused_logits;
}

}  // namespace

Observatory::Observatory(ObservedModel model, const BoundedContext &context, Scheduler &scheduler)
    : model_(std::move(model)),
      n_slots_(context.options().n_sequences),
      n_layers_(context.bounded_layers()),
      capacity_(context.cells_per_sequence()),
      scheduler_(scheduler) {
  for (std::int32_t layer = 0; layer < n_layers_; ++layer) heads_.push_back(context.heads(layer));
}

std::string Observatory::status() const {
  const std::vector<SlotStatus> statuses = scheduler_.slots();
  OrderedJson slots = OrderedJson::array();
  std::uint64_t full_cache = 0;
  for (std::size_t i = 0; i < statuses.size(); ++i) {
    slots.push_back(as_json(statuses[i], i, capacity_));
    full_cache += model_.full_cache_bytes(statuses[i].tokens);
  }
  const MemoryPlan &plan = model_.memory;
  const std::chrono::duration<double> uptime = std::chrono::steady_clock::now() - started_;
  return dump({{"model", model_.name},
               {"policy", model_.policy},
               {"layers", n_layers_},
               {"heads", heads_.empty() ? 0 : heads_.front()},
               {"slots", slots},
               {"memory",
                {{"weights", plan.loaded()},
                 {"kv", plan.kv},
                 {"queries", plan.queries},
                 {"compute", beside_the_cache(plan)},
                 {"total", plan.total()},
                 {"resident", engine::resident_memory()},
                 {"full_cache", full_cache}}},
               {"uptime", uptime.count()},
               {"queue", scheduler_.queue_length()}});
}

std::string Observatory::cache(const std::string &slot_text, const std::string &layer_text,
                               const std::string &head_text) const {
  if (n_layers_ == 0) {
    throw ApiError(400,
                   fmt::format("this server runs policy {}: nothing is evicted, so there is "
                               "nothing to look at",
                               model_.policy),
                   "invalid_request_error");
  }
  const std::int32_t slot = index_of(slot_text, "slot", n_slots_);
  const std::int32_t layer = index_of(layer_text, "layer", n_layers_);
  const std::int32_t head = index_of(head_text, "head", heads_[static_cast<std::size_t>(layer)]);

  HeadRows rows;
  SequenceStatistics statistics;
  vase_params policy{};
  scheduler_.between_steps([&](const BoundedContext &context) {
    rows = context.inspect(slot, layer, head);
    statistics = context.statistics(slot);
    policy = context.params(slot);
  });

  OrderedJson positions = OrderedJson::array();
  OrderedJson ranges = OrderedJson::array();
  OrderedJson reasons = OrderedJson::array();
  for (const ExplainedRow &row : explain_rows(rows, policy, statistics.evictions)) {
    positions.push_back(row.position);
    ranges.push_back(row.value_range);
    reasons.push_back(to_string(row.reason));
  }
  return dump({{"slot", slot},
               {"layer", layer},
               {"head", head},
               {"tokens", statistics.tokens},
               {"evictions", statistics.evictions},
               {"rows", statistics.rows},
               {"positions", std::move(positions)},
               {"ranges", std::move(ranges)},
               {"reasons", std::move(reasons)}});
}

Gauges Observatory::gauges() const {
  const std::vector<SlotStatus> slots = scheduler_.slots();
  return {.queue = static_cast<std::int64_t>(scheduler_.queue_length()),
          .slots = n_slots_,
          .slots_busy = std::ranges::count_if(slots, &SlotStatus::busy),
          .weights_bytes = model_.memory.loaded(),
          .kv_bytes = model_.memory.kv,
          .queries_bytes = model_.memory.queries,
          .compute_bytes = beside_the_cache(model_.memory),
          .resident_bytes = engine::resident_memory()};
}

}  // namespace vase::server
