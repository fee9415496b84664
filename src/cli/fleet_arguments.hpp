// The options of `vase plan --fleet`.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "cli/fleet.hpp"
#include "llama/plan/memory_plan.hpp"

namespace vase::cli {

class FleetArguments {
 public:
  void add_to(CLI::App &app);
  bool given() const { return rate_.has_value(); }
  /// Throws Error if --fleet lacks something, or a file of --bench is none.
  void check() const;

  /// Some lines about the replicas, each with the memory of `plan` and `program` bytes of code, and
  /// what full caches of as many slots would take. Throws Error.
  std::string in_words(const MemoryPlan &bounded, const MemoryPlan &full,
                       std::size_t program) const;
  /// The same, and what comes of as many replicas as --gpus says. Throws Error.
  nlohmann::ordered_json as_json(const MemoryPlan &bounded, std::size_t program) const;

 private:
  ReplicaSpeed speed(std::int32_t slots) const;
  FleetDemand demand() const;

  std::optional<double> rate_;
  double prompt_tokens_ = 0;
  double answer_tokens_ = 0;
  double cached_ = 0;
  double wait_ = 1;
  std::optional<double> speed_;
  std::optional<double> prompt_speed_;
  std::string bench_;
  std::optional<std::int64_t> gpus_;
};

}  // namespace vase::cli
