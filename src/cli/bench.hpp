#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

/// `vase bench`: plain llama.cpp and a bounded cache side by side.
void add_bench_command(CLI::App &app);

}  // namespace vase::cli
