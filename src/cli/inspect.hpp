// `vase inspect`: what a bounded cache holds after a text, layer by layer.
#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

void add_inspect_command(CLI::App &app);

}  // namespace vase::cli
