#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "solvers.hpp"
#include "tasks/problem_file.hpp"
#include "tasks/registry.hpp"

namespace vase::tasks {
namespace {

// eval/problems was written with `vase tasks make --split test --count 64 --seed 2606`.
constexpr std::uint64_t kPublicSeed = 2606;
constexpr std::size_t kPublicCount = 64;

// How many of each task and tier are made again: all of them would take long under sanitizers.
constexpr int kMadeAgain = 6;

TEST(PublicSet, IsWhatItsSeedGivesAndIsAnsweredRight) {
  for (const Task& task : all_tasks()) {
    const auto path = std::filesystem::path(VASE_PUBLIC_SET) / (std::string(task.name) + ".jsonl");
    std::ifstream in(path);
    ASSERT_TRUE(in) << path;
    const std::vector<Problem> problems = read_problems(in);
    ASSERT_EQ(problems.size(), kPublicCount * std::size(kAllTiers)) << path;
    std::size_t first = 0;
    for (const Tier tier : kAllTiers) {
      const auto again = make_problems(task, tier, Split::kTest, kPublicSeed, kMadeAgain);
      for (std::size_t i = 0; i < again.size(); ++i) {
        EXPECT_EQ(to_json_line(problems[first + i], false), to_json_line(again[i], false));
      }
      first += kPublicCount;
    }
    for (const Problem& problem : problems) {
      EXPECT_EQ(solve(problem.task, problem.question), problem.answer) << problem.id;
    }
  }
}

}  // namespace
}  // namespace vase::tasks
