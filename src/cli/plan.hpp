#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

/// `vase plan`: how much memory a model, a budget and a number of sequences take.
void add_plan_command(CLI::App &app);

}  // namespace vase::cli
