// `vase calibrate`: measures what some policies need to know of a model's queries.
#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

void add_calibrate_command(CLI::App &app);

}  // namespace vase::cli
