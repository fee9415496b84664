#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

/// `vase exec`: another program of llama.cpp's, with its cache bounded.
void add_exec_command(CLI::App &app);

}  // namespace vase::cli
