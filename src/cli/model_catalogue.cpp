#include "cli/model_catalogue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <sstream>
#include <system_error>

#include "cli/default_files.hpp"
#include "cli/model_table.hpp"
#include "cli/suggest.hpp"
#include "vase/llama.hpp"

namespace vase::cli {
namespace {

// Lines of fields between tabs, the first with their names.
std::vector<KnownModel> read_table() {
  std::vector<KnownModel> models;
  std::istringstream lines(kModelTable);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    KnownModel model;
    std::string bytes, sha256;
    std::getline(fields, model.name, '\t');
    std::getline(fields, model.file, '\t');
    std::getline(fields, bytes, '\t');
    std::getline(fields, sha256, '\t');  // for the script
    std::getline(fields, model.licence, '\t');
    model.bytes = std::stoull(bytes);
    models.push_back(model);
  }
  return models;
}

std::vector<std::string> names_near(std::string word) {
  std::ranges::transform(word, word.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::vector<std::string> names;
  for (const KnownModel &model : known_models()) names.push_back(model.name);
  return by_nearness(word, names);
}

}  // namespace

const std::vector<KnownModel> &known_models() {
  static const std::vector<KnownModel> models = read_table();
  return models;
}

std::filesystem::path path_of(const KnownModel &model) { return models_folder() / model.file; }

bool is_fetched(const KnownModel &model) {
  std::error_code missing;
  return std::filesystem::file_size(path_of(model), missing) == model.bytes && !missing;
}

std::string fetch_command(const KnownModel &model) {
  return "scripts/fetch-model.sh " + model.name;
}

std::filesystem::path default_model() { return path_of(known_models().front()); }

std::filesystem::path model_file(const std::string &named) {
  const std::filesystem::path path = named;
  std::error_code unreadable;
  if (std::filesystem::exists(path, unreadable)) return path;
  const auto known = std::ranges::find(known_models(), named, &KnownModel::name);
  if (known != known_models().end()) {
    if (is_fetched(*known)) return path_of(*known);
    throw Error(fmt::format("the model {} is not at {}: {} fetches it ({} MB)", named,
                            path_of(*known).string(), fetch_command(*known),
                            known->bytes / 1'000'000));
  }
  if (path.has_parent_path() || path.extension() == ".gguf") return path;
  throw Error(
      fmt::format("\"{}\" is neither a file nor a model that has a name; these have, the "
                  "nearest first: {} (see `vase models`)",
                  named, fmt::join(names_near(named), ", ")));
}

}  // namespace vase::cli
