#include "cli/models.hpp"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/default_files.hpp"
#include "cli/model_catalogue.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/units.hpp"

namespace vase::cli {
namespace {

std::string as_text() {
  Table table({"model", "licence", "there", "to fetch it", "bytes"}, 4);
  for (const KnownModel &model : known_models()) {
    const bool there = is_fetched(model);
    table.add({model.name, model.licence, there ? "yes" : "no", there ? "-" : fetch_command(model),
               with_commas(static_cast<std::int64_t>(model.bytes))});
  }
  return fmt::format(
      "{}\n-m takes these names as well as files. They are kept in {}; {} is the "
      "default, with the reasoner's adapter if -m does not name it.\n",
      table.str(), models_folder().string(), known_models().front().name);
}

std::string as_json() {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const KnownModel &model : known_models()) {
    json.push_back({{"name", model.name},
                    {"licence", model.licence},
                    {"bytes", model.bytes},
                    {"path", path_of(model).string()},
                    {"there", is_fetched(model)},
                    {"fetch", fetch_command(model)},
                    {"default", &model == &known_models().front()}});
  }
  return json.dump(2) + "\n";
}

}  // namespace

void add_models_command(CLI::App &app) {
  CLI::App *command = app.add_subcommand("models", "the models that -m knows by name");
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "print JSON");
  command->callback([json] { write_output(*json ? as_json() : as_text()); });
}

}  // namespace vase::cli
