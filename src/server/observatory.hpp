// What the web page looks at: the slots, the memory, and the rows of a head.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "llama/plan/memory_plan.hpp"
#include "server/metrics.hpp"
#include "server/scheduler.hpp"

namespace vase::server {

struct ObservedModel {
  std::string name = {};
  std::string policy = {};
  std::string policies = {};  ///< JSON of GET /vase/policies
  MemoryPlan memory = {};
  /// Bytes that a cache that grows would take for a text of so many tokens.
  std::function<std::uint64_t(std::int64_t)> full_cache_bytes = {};
};

class Observatory {
 public:
  /// References must outlive this.
  Observatory(ObservedModel model, const BoundedContext &context, Scheduler &scheduler);

  /// JSON of GET /vase/status.
  std::string status() const;
  /// JSON of GET /vase/policies.
  const std::string &policies() const { return model_.policies; }
  /// JSON of GET /vase/cache. The arguments are the query's; throws ApiError if they are not
  /// numbers in range.
  std::string cache(const std::string &slot, const std::string &layer,
                    const std::string &head) const;
  Gauges gauges() const;

 private:
  ObservedModel model_;
  std::int32_t n_slots_;
  std::int32_t n_layers_;
  std::int32_t capacity_;
  std::vector<std::int32_t> heads_;  // of each layer
  Scheduler &scheduler_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace vase::server
