// vase models: the models that -m knows by name.
#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

void add_models_command(CLI::App &app);

}  // namespace vase::cli
