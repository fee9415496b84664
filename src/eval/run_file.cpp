#include "eval/run_file.hpp"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "vase/llama.hpp"

namespace vase::eval {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char *kMark = "vase_eval";  // in the first line: the version of the format
constexpr int kVersion = 1;

// Bytes of `text` up to the end of its last whole line. A line is whole if its newline is there.
std::size_t whole_lines(const std::string &text) {
  const auto last = text.rfind('\n');
  return last == text.npos ? 0 : last + 1;
}

void read_first_line(const std::string &line, Run &run) {
  const json first = json::parse(line, nullptr, false);
  if (!first.is_object() || !first.contains(kMark) || !first.contains("settings")) {
    throw Error("this is no run of `vase eval`");
  }
  if (first.at(kMark) != kVersion) {
    throw Error(fmt::format("written by another version of `vase eval`: format {}, not {}",
                            first.at(kMark).dump(), kVersion));
  }
  run.settings = first.at("settings");
}

Run parse_run(const std::string &text) {
  Run run;
  const std::size_t end = whole_lines(text);
  run.torn = end < text.size();
  // Only the start of our own first line may be thrown away as torn, not someone's notes.
  if (end == 0 && !fmt::format("{{\"{}\":", kMark).starts_with(text.substr(0, 12))) {
    throw Error("this is no run of `vase eval`");
  }
  std::string cache_types;  // of the whole run: lines of older versions do not name them
  std::size_t at = 0;
  for (int number = 1; at < end; ++number) {
    const std::size_t next = text.find('\n', at);
    const std::string line = text.substr(at, next - at);
    at = next + 1;
    if (number == 1) {
      read_first_line(line, run);
      cache_types = run.settings.value("cache_types", Record().cache_types);
      continue;
    }
    try {
      run.records.push_back(record_from_json(json::parse(line), cache_types));
    } catch (const json::exception &error) {
      throw Error(fmt::format("line {} is damaged: {}", number, error.what()));
    }
  }
  return run;
}

Run parse_run_at(const std::filesystem::path &path, const std::string &text) {
  try {
    return parse_run(text);
  } catch (const Error &error) {
    throw Error(fmt::format("{}: {}", path.string(), error.what()));
  }
}

void check_same(const std::filesystem::path &path, const json &there, const ordered_json &asked) {
  for (const auto &[name, value] : asked.items()) {
    const json before = there.value(name, json());
    if (before == json(value)) continue;
    throw Error(fmt::format(
        "{} was made with {} {}, now it is {}: use the same, or another file with --out",
        path.string(), name, before.dump(), value.dump()));
  }
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
  const std::filesystem::path path = run_path_of(file_or_folder);
  Run run = parse_run_at(path, read_text_file(path));
  if (run.settings.is_null()) {
    throw Error(fmt::format("{}: this is no run of `vase eval`", path.string()));
  }
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
    : file_(path), ungraded_(path.string() + ".ungraded") {
  const std::string text = read_text_file(path);
  run_ = parse_run_at(path, text);
  if (run_.torn) file_.cut(whole_lines(text));
  if (run_.settings.is_null()) {
    run_.settings = settings;
    file_.append(ordered_json({{kMark, kVersion}, {"settings", settings}}).dump());
  }
  check_same(path, run_.settings, settings);
  std::set<std::string> graded;
  for (const Record &record : run_.records) graded.insert(key_of(record));
  for (const Record &record : ungraded_.left()) {
    if (graded.contains(key_of(record))) ungraded_.remove(record);
  }
}

void RunFile::hold(const Record &record) { ungraded_.add(record); }

void RunFile::append(const Record &record) {
  // Replies of broken models may be cut inside a character.
  file_.append(to_json(record).dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  run_.records.push_back(record);
  ungraded_.remove(record);
}

}  // namespace vase::eval
