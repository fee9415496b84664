// Problems as JSON lines: one object a line with id, task, tier, seed, question and answer, and
// with chain if it was asked for.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "tasks/problem.hpp"

namespace vase::tasks {

/// One problem as one line of JSON, without the line's end. The seed is a string of 16 hexadecimal
/// digits, because a JSON number does not hold 64 bits everywhere.
std::string to_json_line(const Problem& problem, bool with_chain);

/// Reads problems; throws std::runtime_error that names the line if one cannot be read.
std::vector<Problem> read_problems(std::istream& in);

}  // namespace vase::tasks
