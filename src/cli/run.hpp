#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

/// `vase run`: completes a prompt.
void add_run_command(CLI::App &app);

}  // namespace vase::cli
