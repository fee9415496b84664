// The short form of settings inside one argument: "vase:protect=50%:recency=128".
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace vase::cli {

struct NamedSettings {
  std::string name;                   ///< before the first ':'
  std::vector<std::string> settings;  ///< "recency=128"
};

/// Throws Error if the name is empty.
NamedSettings split_settings(const std::string &text);

/// Parses "name=value" settings with the options of `app`, as if they were written "--name value".
/// Throws Error that names `text` if one of them is unknown or wrong.
void parse_settings(CLI::App &app, const NamedSettings &settings, const std::string &text);

}  // namespace vase::cli
