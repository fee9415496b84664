#include "recall/answers_file.hpp"

#include <fmt/format.h>

#include <utility>

#include "vase/llama.hpp"

namespace vase::recall {
namespace {

using nlohmann::json;

constexpr eval::LineRunKind kKind = {"vase_recall", 1, "vase recall"};

eval::VisitLine add_to(std::vector<Record> &records) {
  return [&records](const json &line, const json &settings) {
    records.push_back(record_from_json(line, settings.at("cache_types")));
  };
}

void check_same(const std::string &path, const json &settings, const std::string &first,
                const json &of_first) {
  for (const char *name : {"model", "adapters", "texts"}) {
    const json here = settings.value(name, json());
    const json there = of_first.value(name, json());
    if (here == there) continue;
    throw Error(
        fmt::format("{} and {} have no answers to compare: their {} are not the same, {} and {}",
                    first, path, name, there.dump(), here.dump()));
  }
}

}  // namespace

AnswersFile::AnswersFile(const std::filesystem::path &path, const nlohmann::ordered_json &settings)
    : file_(path, kKind, settings, add_to(records_)) {
  for (const Record &record : records_) keys_.insert(key_of(record));
}

void AnswersFile::append(const Record &record) {
  file_.append(to_json(record));
  records_.push_back(record);
  keys_.insert(key_of(record));
}

std::vector<Record> read_answers(const std::vector<std::string> &paths) {
  std::vector<Record> all;
  std::set<std::string> seen;
  json settings;
  for (const std::string &path : paths) {
    std::vector<Record> records;
    const eval::LineRun run = eval::read_line_run(path, kKind, add_to(records));
    if (settings.is_null()) settings = run.settings;
    check_same(path, run.settings, paths.front(), settings);
    for (Record &record : records) {
      if (seen.insert(record.cache_types + key_of(record)).second) all.push_back(std::move(record));
    }
  }
  return all;
}

}  // namespace vase::recall
