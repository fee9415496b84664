// The command line as a whole.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

namespace vase::cli {

/// The program with all its subcommands.
std::unique_ptr<CLI::App> make_app();

/// The arguments after the program's name as CLI11 wants them. llama.cpp has options of several
/// letters behind one dash (-ngl, -ctk), which CLI11 would read as several options: they get two.
std::vector<std::string> arguments_for_parser(int argc, const char *const *argv);

/// Parses, runs, and says in one line on stderr what went wrong. Returns the exit code.
int run_app(int argc, const char *const *argv);

}  // namespace vase::cli
