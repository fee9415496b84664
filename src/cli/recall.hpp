// `vase recall`: what a bounded cache still knows of a long text.
#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

void add_recall_command(CLI::App &app);

}  // namespace vase::cli
