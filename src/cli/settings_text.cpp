#include "cli/settings_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "vase/llama.hpp"

namespace vase::cli {

NamedSettings split_settings(const std::string &text) {
  NamedSettings result;
  std::istringstream parts(text);
  std::getline(parts, result.name, ':');
  for (std::string part; std::getline(parts, part, ':');) result.settings.push_back(part);
  if (result.name.empty()) throw Error(fmt::format("\"{}\" does not start with a name", text));
  return result;
}

void parse_settings(CLI::App &app, const NamedSettings &settings, const std::string &text) {
  std::vector<std::string> arguments;
  for (const std::string &setting : settings.settings) arguments.push_back("--" + setting);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  app.set_help_flag();
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError &error) {
    throw Error(fmt::format("in \"{}\": {}", text, error.what()));
  }
}

}  // namespace vase::cli
