#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

/// `vase policies`: the policies and their parameters.
void add_policies_command(CLI::App &app);

}  // namespace vase::cli
