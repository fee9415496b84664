// `vase stress`: many questions in one text that never ends.
#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

void add_stress_command(CLI::App &app);

}  // namespace vase::cli
