// The queueing model of `vase plan --fleet`.
#include "cli/fleet.hpp"

#include <gtest/gtest.h>

#include "vase/llama.hpp"

namespace vase::cli {
namespace {

// A slot generates a token a second, whatever the others do; prompts take no time.
ReplicaSpeed independent_slots(std::int32_t slots) {
  return {.slots = slots, .steps = {{slots, 1}}, .prompt_tokens_per_second = 1e12};
}

FleetDemand answers_of_one_token(double rate) {
  return {.rate = rate, .prompt_tokens = 0, .answer_tokens = 1};
}

TEST(Fleet, OneSlotIsTheQueueOfTheTextbook) {
  // M/M/1: the wait is load / (1 - load) services, a request is in the system for 1 / (1 - load).
  const FleetLoad load = load_of(1, answers_of_one_token(0.75), independent_slots(1));
  EXPECT_DOUBLE_EQ(load.busy, 0.75);
  EXPECT_NEAR(load.waiting, 0.75, 1e-12);
  EXPECT_NEAR(load.wait_seconds, 3, 1e-12);
  EXPECT_NEAR(load.seconds, 4, 1e-12);
}

TEST(Fleet, IndependentSlotsAreErlangs) {
  // M/M/2 with an offered load of 1: C = 1/3; M/M/4 with 3: C = 0.5094.
  const FleetLoad two = load_of(1, answers_of_one_token(1), independent_slots(2));
  EXPECT_NEAR(two.waiting, 1.0 / 3, 1e-9);
  EXPECT_NEAR(two.wait_seconds, 1.0 / 3, 1e-9);
  const FleetLoad four = load_of(1, answers_of_one_token(3), independent_slots(4));
  EXPECT_NEAR(four.waiting, 0.5094, 1e-4);
  EXPECT_NEAR(four.wait_seconds, 0.5094, 1e-4);
  EXPECT_NEAR(four.seconds, 1.5094, 1e-4);
}

TEST(Fleet, PromptsKeepAllSlotsWaiting) {
  const ReplicaSpeed speed{.slots = 4, .steps = {{4, 0.04}}, .prompt_tokens_per_second = 1000};
  FleetDemand demand{.rate = 0.1, .prompt_tokens = 1000, .answer_tokens = 100};
  EXPECT_DOUBLE_EQ(most_of_a_replica(demand, speed), 0.5);  // a second of reading, one of writing
  demand.cached = 0.5;
  EXPECT_DOUBLE_EQ(most_of_a_replica(demand, speed), 1 / 1.5);
}

TEST(Fleet, FindsTheFewestReplicas) {
  const ReplicaSpeed speed{.slots = 4, .steps = {{4, 0.04}}, .prompt_tokens_per_second = 1000};
  const FleetDemand demand{.rate = 7, .prompt_tokens = 200, .answer_tokens = 150};
  const std::int64_t n = replicas_for(demand, speed, 0.5);
  EXPECT_LE(load_of(n, demand, speed).wait_seconds, 0.5);
  EXPECT_GT(load_of(n - 1, demand, speed).wait_seconds, 0.5);
  EXPECT_GE(rate_for(n, demand, speed, 0.5), demand.rate);
  EXPECT_LT(rate_for(n - 1, demand, speed, 0.5), demand.rate);
}

TEST(Fleet, SaysWhenNoNumberWillDo) {
  EXPECT_THROW(replicas_for(answers_of_one_token(1e9), independent_slots(4), 1), Error);
  EXPECT_GE(load_of(1, answers_of_one_token(5), independent_slots(4)).busy, 1);
}

}  // namespace
}  // namespace vase::cli
