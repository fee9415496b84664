// The tables of recall as text.
#pragma once

#include <string>

#include "recall/summary.hpp"

namespace vase::cli {

/// A table for each length, budget and whether it was asked again, categories and depths as
/// columns; then the comparisons.
std::string as_tables(const recall::Summary &summary);

}  // namespace vase::cli
