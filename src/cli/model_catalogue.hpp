// The models that have a name: what models/catalogue/models.tsv lists and scripts/fetch-model.sh
// fetches.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vase::cli {

struct KnownModel {
  std::string name;
  std::string file;         ///< its name in models_folder()
  std::uint64_t bytes = 0;  ///< of the file, and about as many to fetch
  std::string licence;
};

/// In the order of the table: the default one first.
const std::vector<KnownModel> &known_models();

/// Where the model is once it was fetched.
std::filesystem::path path_of(const KnownModel &model);
/// Whether all of it is there. Contents are checked when it is fetched, here the length alone.
bool is_fetched(const KnownModel &model);
std::string fetch_command(const KnownModel &model);

/// path_of() the model that is used when none is named.
std::filesystem::path default_model();

/// The file that the user means by `named`: a file if there is one of that name, or it has a folder
/// or ends in .gguf, else a known model. Throws Error if that was not fetched yet (with the command
/// that does) or is not known (with the names, the nearest first).
std::filesystem::path model_file(const std::string &named);

}  // namespace vase::cli
