// vase serve: an OpenAI-compatible server whose memory is known before it starts.
#pragma once

#include <CLI/CLI.hpp>

namespace vase::cli {

void add_serve_command(CLI::App &app);

}  // namespace vase::cli
