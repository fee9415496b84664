// Solves problems of every task from the text of the question alone, by other means than the
// generators use.
#pragma once

#include <string>

#include "tasks/problem.hpp"

namespace vase::tasks {

/// The answer to a question of this task; throws std::runtime_error if the text cannot be read.
std::string solve(const std::string& task, const std::string& question);

}  // namespace vase::tasks
