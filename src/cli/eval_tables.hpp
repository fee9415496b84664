// The tables of an evaluation as text.
#pragma once

#include <string>

#include "eval/summary.hpp"

namespace vase::cli {

/// Of --base, which commands that print comparisons have.
inline constexpr const char *kBaseHelp =
    "policy that the others are compared with, question by question (default: VaSE as "
    "published where it is there, else the default policy)";

/// One table for each tier and budget, tasks as columns, then the comparisons.
std::string as_tables(const eval::Summary &summary);

}  // namespace vase::cli
