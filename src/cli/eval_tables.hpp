// The tables of an evaluation as text.
#pragma once

#include <cstddef>
#include <string>

#include "eval/summary.hpp"

namespace vase::cli {

/// Of --base, which commands that print comparisons have.
inline constexpr const char *kBaseHelp =
    "policy that the others are compared with, question by question (default: VaSE as "
    "published where it is there, else the default policy)";

/// One table for each tier and budget, tasks as columns, then the comparisons.
std::string as_tables(const eval::Summary &summary);

/// Says on stderr that so many answers of a file were in another one already. Nothing if none.
void say_twice(const std::string &path, std::size_t count);

}  // namespace vase::cli
