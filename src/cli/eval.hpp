// `vase eval`: which policy keeps reasoning intact.
#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

void add_eval_command(CLI::App &app);

}  // namespace vase::cli
