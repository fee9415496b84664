// The tables of an evaluation as text.
#pragma once

#include <string>

#include "eval/summary.hpp"

namespace vase::cli {

/// One table for each tier and budget, tasks as columns, then the comparisons.
std::string as_tables(const eval::Summary &summary);

}  // namespace vase::cli
