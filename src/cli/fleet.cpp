#include "cli/fleet.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "vase/llama.hpp"

namespace vase::cli {
namespace {

double step_seconds(int at_work, const std::vector<StepTime> &steps) {
  const auto above = std::ranges::lower_bound(steps, at_work, {}, &StepTime::at_work);
  if (above == steps.begin()) return above->seconds;
  const StepTime &below = *(above - 1);
  const double share = static_cast<double>(at_work - below.at_work) /
                       static_cast<double>(above->at_work - below.at_work);
  return below.seconds + share * (above->seconds - below.seconds);
}

// Answers a second of a replica with `at_work` slots at work.
double completions(int at_work, const FleetDemand &demand, const ReplicaSpeed &speed) {
  const double reading =
      demand.prompt_tokens * (1 - demand.cached) / speed.prompt_tokens_per_second;
  return 1 / (demand.answer_tokens * step_seconds(at_work, speed.steps) / at_work + reading);
}

}  // namespace

double most_of_a_replica(const FleetDemand &demand, const ReplicaSpeed &speed) {
  return completions(speed.slots, demand, speed);
}

FleetLoad load_of(std::int64_t replicas, const FleetDemand &demand, const ReplicaSpeed &speed) {
  const double arrivals = demand.rate / static_cast<double>(replicas);
  const double busy = arrivals / most_of_a_replica(demand, speed);
  constexpr double kEndless = std::numeric_limits<double>::infinity();
  if (busy >= 1) return {.busy = busy, .waiting = 1, .wait_seconds = kEndless, .seconds = kEndless};
  // A birth-death chain: how likely k requests are at work, relative to none; from all slots on
  // each further request, which waits, is less likely by the same factor.
  double weight = 1, total = 1, requests = 0;
  for (int k = 1; k < speed.slots; ++k) {
    weight *= arrivals / completions(k, demand, speed);
    total += weight;
    requests += k * weight;
  }
  const double full = weight * busy / (1 - busy);  // all slots at work, and any number waits
  const double queue = full * busy / (1 - busy);   // how many wait, times the weight
  total += full;
  requests += speed.slots * full + queue;
  return {.busy = busy,
          .waiting = full / total,
          .wait_seconds = queue / total / arrivals,
          .seconds = requests / total / arrivals};
}

std::int64_t replicas_for(const FleetDemand &demand, const ReplicaSpeed &speed,
                          double wait_seconds) {
  constexpr std::int64_t kMost = 1'000'000;
  const double fewest = demand.rate / most_of_a_replica(demand, speed);
  if (fewest < kMost) {
    for (auto n = static_cast<std::int64_t>(std::floor(fewest)) + 1; n <= kMost; ++n) {
      if (load_of(n, demand, speed).wait_seconds <= wait_seconds) return n;
    }
  }
  throw Error(fmt::format(
      "{:g} requests a second need more than a million replicas that answer {:.3g} each",
      demand.rate, most_of_a_replica(demand, speed)));
}

double rate_for(std::int64_t replicas, FleetDemand demand, const ReplicaSpeed &speed,
                double wait_seconds) {
  double low = 0, high = static_cast<double>(replicas) * most_of_a_replica(demand, speed);
  for (int i = 0; i < 60; ++i) {
    demand.rate = (low + high) / 2;
    (load_of(replicas, demand, speed).wait_seconds <= wait_seconds ? low : high) = demand.rate;
  }
  return low;
}

}  // namespace vase::cli
