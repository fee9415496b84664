// How many replicas of a server a load needs: a small queueing model (docs/scale.md).
#pragma once

#include <cstdint>
#include <vector>

namespace vase::cli {

/// What clients ask for, in the mean.
struct FleetDemand {
  double rate = 0;           ///< requests a second
  double prompt_tokens = 0;  ///< of a request
  double answer_tokens = 0;
  double cached = 0;  ///< share of a prompt's tokens that is not read again
};

/// How long a step takes in which so many slots generate a token each.
struct StepTime {
  std::int32_t at_work = 0;
  double seconds = 0;
};

/// One server.
struct ReplicaSpeed {
  std::int32_t slots = 0;
  std::vector<StepTime> steps = {};     ///< ascending, that of all slots the last
  double prompt_tokens_per_second = 0;  ///< while no slot generates
};

/// What comes of a number of replicas under a demand.
struct FleetLoad {
  double busy = 0;          ///< of the most that they can do; from 1 on the queue grows without end
  double waiting = 0;       ///< share of requests that find no free slot
  double wait_seconds = 0;  ///< until a slot is free, mean over all requests
  double seconds = 0;       ///< until the answer is there, mean, the wait among them
};

/// Requests a second that one replica can answer at most.
double most_of_a_replica(const FleetDemand &demand, const ReplicaSpeed &speed);

/// Each replica is a queue of its own, to which requests come at random: conversations go back to
/// theirs. With k slots at work the next answer is ready after answer_tokens * step(k) / k + prompt
/// seconds in the mean, exponentially distributed. step(k) is on the line between the measured ones
/// beside it; with fewer slots than in any, it is as long as with the fewest, which is careful.
FleetLoad load_of(std::int64_t replicas, const FleetDemand &demand, const ReplicaSpeed &speed);

/// The fewest replicas with which requests wait for at most `wait_seconds` in the mean. Throws
/// Error if more than a million are needed.
std::int64_t replicas_for(const FleetDemand &demand, const ReplicaSpeed &speed,
                          double wait_seconds);

/// Requests a second that so many replicas answer with at most this mean wait.
double rate_for(std::int64_t replicas, FleetDemand demand, const ReplicaSpeed &speed,
                double wait_seconds);

}  // namespace vase::cli
