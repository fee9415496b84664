// `vase fidelity`: how far a bounded cache's predictions are from the full cache's.
#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

void add_fidelity_command(CLI::App &app);

}  // namespace vase::cli
