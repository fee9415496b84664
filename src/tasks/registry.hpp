// The list of tasks, and how a problem is made from a seed.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tasks/problem.hpp"
#include "tasks/tasks.hpp"

namespace vase::tasks {

struct Task {
  std::string_view name;
  std::string_view summary;
  Generator generator;
};

/// All tasks, in the order in which they are listed everywhere.
std::span<const Task> all_tasks();

/// The task of this name, or null.
const Task* find_task(std::string_view name);

/// One problem. The same arguments give the same bytes on every machine.
Problem make_problem(const Task& task, Tier tier, Split split, std::uint64_t seed);

/// `count` problems of one task and tier, their seeds drawn from `seed`.
std::vector<Problem> make_problems(const Task& task, Tier tier, Split split, std::uint64_t seed,
                                   int count);

}  // namespace vase::tasks
