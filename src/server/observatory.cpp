#include "server/observatory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "engine/machine.hpp"
#include "observe/cache_view.hpp"
#include "server/error.hpp"
#include "server/json.hpp"

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
    slots.push_back(observe::as_json(statuses[i], i, capacity_));
    full_cache += model_.full_cache_bytes(statuses[i].tokens);
  }
  const MemoryPlan &plan = model_.memory;
  const PromptCacheStatus aside = scheduler_.prompt_cache();
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
                 {"snapshots", plan.snapshots},
                 {"total", plan.total()},
                 {"resident", engine::resident_memory()},
                 {"full_cache", full_cache}}},
               {"prompt_cache",
                {{"bytes", aside.bytes}, {"limit", aside.limit}, {"entries", aside.entries}}},
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

  observe::HeadView view{.slot = slot, .layer = layer, .head = head};
  scheduler_.between_steps([&](const BoundedContext &context) {
    view.rows = context.inspect(slot, layer, head);
    view.statistics = context.statistics(slot);
    view.policy = context.params(slot);
  });
  return dump(observe::as_json(view));
}

Gauges Observatory::gauges() const {
  const std::vector<SlotStatus> slots = scheduler_.slots();
  const PromptCacheStatus aside = scheduler_.prompt_cache();
  return {.queue = static_cast<std::int64_t>(scheduler_.queue_length()),
          .slots = n_slots_,
          .slots_busy = std::ranges::count_if(slots, &SlotStatus::busy),
          .weights_bytes = model_.memory.loaded(),
          .kv_bytes = model_.memory.kv,
          .queries_bytes = model_.memory.queries,
          .compute_bytes = beside_the_cache(model_.memory),
          .snapshots_bytes = model_.memory.snapshots,
          .put_aside_bytes = aside.bytes,
          .put_aside = aside.entries,
          .resident_bytes = engine::resident_memory()};
}

}  // namespace vase::server
