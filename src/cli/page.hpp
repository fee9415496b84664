// `vase report`: the results of eval, fidelity and bench as one page with pictures.
#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

void add_report_command(CLI::App &app);

}  // namespace vase::cli
