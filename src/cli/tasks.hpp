// The subcommand `vase tasks`: makes, lists and grades reasoning problems.
#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

/// Adds `tasks` with its own subcommands `make`, `list` and `grade`. They run when `app` parses
/// their names, and report errors as CLI::RuntimeError after a message on stderr.
void add_tasks_command(CLI::App& app);

}  // namespace vase::cli
