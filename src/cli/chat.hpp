#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

/// `vase chat`: a conversation in one bounded cache.
void add_chat_command(CLI::App &app);

}  // namespace vase::cli
