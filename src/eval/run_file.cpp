#include "eval/run_file.hpp"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "vase/llama.hpp"

namespace vase::eval {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr LineRunKind kKind = {"vase_eval", 1, "vase eval"};

// Lines of older versions do not name the types of the cache, which are those of the whole run.
VisitLine add_to(std::vector<Record> &records) {
  return [&records](const json &line, const json &settings) {
    records.push_back(record_from_json(line, settings.value("cache_types", Record().cache_types)));
  };
}

// What answered in a run, as its settings name it.
std::string model_of(const json &settings) {
  std::string model = settings.value("model", "an unnamed model");
  for (const json &adapter : settings.value("adapters", json::array()))
    model += " + " + adapter.get<std::string>();
  return model;
}

}  // namespace

std::filesystem::path run_path_of(const std::filesystem::path &path) {
  const bool folder = std::filesystem::is_directory(path) || path.string().ends_with('/');
  return folder ? path / "results.jsonl" : path;
}

Run read_run(const std::filesystem::path &file_or_folder) {
  Run run;
  LineRun lines = read_line_run(run_path_of(file_or_folder), kKind, add_to(run.records));
  run.settings = std::move(lines.settings);
  run.torn = lines.torn;
  return run;
}

std::size_t RunCollection::add(Run run) {
  const std::string model = model_of(run.settings);
  if (model_.value_or(model) != model) {
    throw Error(
        fmt::format("these runs are of two models, whose answers are not to be added up: {} "
                    "and {}",
                    *model_, model));
  }
  model_ = model;
  // The same settings, question, policy, budget and sample: the same answer.
  const std::string made = run.settings.dump();
  std::size_t twice = 0;
  for (Record &record : run.records) {
    if (seen_.insert(made + key_of(record)).second) {
      records_.push_back(std::move(record));
    } else {
      ++twice;
    }
  }
  return twice;
}

RunFile::RunFile(const std::filesystem::path &path, const ordered_json &settings)
    : file_(path, kKind, settings, add_to(records_)), ungraded_(path.string() + ".ungraded") {
  std::set<std::string> graded;
  for (const Record &record : records_) graded.insert(key_of(record));
  for (const Record &record : ungraded_.left()) {
    if (graded.contains(key_of(record))) ungraded_.remove(record);
  }
}

void RunFile::hold(const Record &record) { ungraded_.add(record); }

void RunFile::append(const Record &record) {
  file_.append(to_json(record));
  records_.push_back(record);
  ungraded_.remove(record);
}

}  // namespace vase::eval
