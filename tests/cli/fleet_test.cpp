// The queueing model of `vase plan --fleet`.
#include "cli/fleet.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/replica_speed.hpp"
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

TEST(Fleet, FewerSlotsAreFasterWhereThatWasMeasured) {
  const FleetDemand demand = answers_of_one_token(0.1);
  const ReplicaSpeed measured{
      .slots = 4, .steps = {{1, 1}, {3, 2}, {4, 4}}, .prompt_tokens_per_second = 1e12};
  ReplicaSpeed two = measured;
  two.slots = 2;
  EXPECT_DOUBLE_EQ(most_of_a_replica(demand, measured), 1);
  EXPECT_DOUBLE_EQ(most_of_a_replica(demand, two), 2 / 1.5);
  ReplicaSpeed all_alike = measured;
  all_alike.steps = {{4, 4}};
  EXPECT_LT(load_of(1, demand, measured).wait_seconds, load_of(1, demand, all_alike).wait_seconds);
  EXPECT_LT(load_of(1, demand, measured).seconds, load_of(1, demand, all_alike).seconds);
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

// What bench/fleet_points.py measured. Of a machine that was faster or slower at a point than in
// the run of vase bench, rates and times are taken as of one as fast as at that point.
class FleetPoints : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(FleetPoints, AreAsForetold) {
  const auto record = nlohmann::json::parse(std::ifstream(GetParam()));
  const nlohmann::json &settings = record["settings"];
  FleetDemand demand{.prompt_tokens = settings["prompt"], .answer_tokens = settings["answer"]};
  for (const nlohmann::json &fleet : record["fleets"]) {
    std::string bench;
    for (const nlohmann::json &line : fleet["bench"]) bench += line.dump() + "\n";
    const ReplicaSpeed speed = parse_bench(bench, GetParam().filename());
    const auto replicas = fleet["replicas"].get<std::int64_t>();
    const double most = static_cast<double>(replicas) * most_of_a_replica(demand, speed);
    double wait = 0, answer = 0, wait_foretold = 0, answer_foretold = 0, faster_in_all = 0;
    for (const nlohmann::json &point : fleet["points"]) {
      const double faster = point["can"].get<double>() / most;
      demand.rate = point["rate"].get<double>() / faster;
      const FleetLoad load = load_of(replicas, demand, speed);
      faster_in_all += faster;
      wait += point["wait"].get<double>();
      answer += point["seconds"].get<double>();
      wait_foretold += load.wait_seconds / faster;
      answer_foretold += load.seconds / faster;
    }
    EXPECT_NEAR(faster_in_all / static_cast<double>(fleet["points"].size()), 1, 0.15);
    EXPECT_NEAR(answer / answer_foretold, 1, 0.25);
    // Means of some hundred waits, most of which are none.
    EXPECT_NEAR(wait, wait_foretold, 0.15 * answer_foretold);
  }
}

std::vector<std::filesystem::path> recorded_points() {
  std::vector<std::filesystem::path> files;
  for (const auto &entry : std::filesystem::directory_iterator(VASE_FLEET_POINTS))
    files.push_back(entry.path());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Recorded, FleetPoints, testing::ValuesIn(recorded_points()),
                         [](const auto &file) { return file.param.stem().string(); });

}  // namespace
}  // namespace vase::cli
