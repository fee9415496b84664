#include "cli/page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cli/default_files.hpp"
#include "cli/eval_tables.hpp"
#include "cli/interrupt.hpp"
#include "cli/output.hpp"
#include "eval/child_process.hpp"
#include "eval/fidelity.hpp"
#include "eval/run_file.hpp"
#include "eval/summary.hpp"
#include "eval/text_file.hpp"
#include "recall/answers_file.hpp"
#include "recall/summary.hpp"
#include "vase/llama.hpp"

namespace vase::cli {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

struct PageArguments {
  std::vector<std::string> files;
  std::string out = "report";
  std::string title = "vase.cpp: evaluation";
  std::optional<std::string> base;
};

// Answers about the same texts by the same model can be compared: title_of, and the texts'
// settings.
struct RecallTexts {
  std::string title;
  std::string made_from;  // JSON

  auto operator<=>(const RecallTexts &) const = default;
};

// Everything that was read, sorted by what it is. Evaluations of one model, with its adapters, at
// one temperature and with one type of cache belong together, so that the full cache may be in
// another file than the policies.
struct Sources {
  std::map<std::string, eval::RunCollection> evaluations;  // by title_of
  std::map<RecallTexts, std::vector<std::string>> recall;  // paths
  std::vector<ordered_json> fidelity;
  std::vector<ordered_json> benches;
};

// The model without the fingerprint, which says nothing to a reader, and the cache's types.
std::string name_of(const ordered_json &settings, const std::string &path) {
  const std::string model = settings.value("model", path);
  const std::string usual = eval::Record().cache_types;
  const std::string types = settings.value("cache_types", usual);
  return model.substr(0, model.find(" (")) + (types == usual ? "" : ", types " + types);
}

std::string title_of(const json &settings, const std::string &path) {
  const double temperature = settings.value("temperature", 0.0);
  std::string name = name_of(settings, path);
  for (const std::string adapter : settings.value("adapters", json::array()))
    name += " + " + adapter.substr(0, adapter.find(" ("));
  return temperature > 0 ? fmt::format("{}, temperature {:.2g}", name, temperature) : name;
}

ordered_json read_fidelity(const std::string &path, const std::string &text) {
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  ordered_json run = ordered_json::parse(line);
  run["model"] = name_of(run, path);
  std::vector<eval::FidelityBucket> buckets;
  while (std::getline(lines, line)) {
    const json object = json::parse(line, nullptr, false);
    if (object.is_discarded()) throw Error(fmt::format("{}: a line is not JSON", path));
    buckets.push_back(eval::bucket_from_json(object));
  }
  if (buckets.empty()) throw Error(fmt::format("{} holds no measurements", path));
  for (const eval::FidelityBucket &bucket : buckets) run["buckets"].push_back(to_json(bucket));
  for (const eval::FidelityBucket &bucket : eval::overall(buckets)) {
    run["overall"].push_back(to_json(bucket));
  }
  return run;
}

// False if `text` is no output of `vase bench --json`. The page compares with the full cache, so
// measurements without it are left out.
bool read_benches(const std::string &text, std::vector<ordered_json> &benches) {
  std::istringstream lines(text);
  bool any = false;
  for (std::string line; std::getline(lines, line); any = true) {
    ordered_json bench = ordered_json::parse(line, nullptr, false);
    if (!bench.is_object() || !bench.contains("tokens_per_depth")) return false;
    if (bench.contains("plain") && bench.contains("depths")) benches.push_back(std::move(bench));
  }
  return any;
}

void read_source(const std::string &file_or_folder, Sources &sources) {
  const std::string path = eval::run_path_of(file_or_folder).string();
  const std::string text = eval::read_text_file(path);
  const json first = json::parse(text.substr(0, text.find('\n')), nullptr, false);
  if (first.is_object() && first.contains("vase_eval")) {
    eval::Run run = eval::read_run(path);
    eval::RunCollection &runs = sources.evaluations[title_of(run.settings, path)];
    say_twice(path, runs.add(std::move(run)));
    return;
  }
  if (first.is_object() && first.contains("vase_recall")) {
    const json settings = first.value("settings", json::object());
    const std::string texts = settings.value("texts", json()).dump();
    sources.recall[{title_of(settings, path), texts}].push_back(path);
    return;
  }
  if (first.is_object() && first.contains("vase_fidelity")) {
    sources.fidelity.push_back(read_fidelity(path, text));
    return;
  }
  if (read_benches(text, sources.benches)) return;
  throw Error(
      fmt::format("{} is none of these: a run of `vase eval` or `vase recall`, the output of "
                  "`vase fidelity --out`, that of `vase bench --json`",
                  path));
}

// Tokens of every answer, by tier, budget and policy, in the order of the table.
ordered_json lengths_of(const std::vector<eval::Record> &records, const eval::Summary &summary) {
  ordered_json lengths = ordered_json::array();
  for (const eval::Cell &cell : summary.cells) {
    if (cell.task != "all") continue;
    ordered_json tokens = ordered_json::array();
    for (const eval::Record &record : records) {
      const bool here =
          record.tier == cell.tier && record.budget == cell.budget && record.policy == cell.policy;
      if (here) tokens.push_back(record.tokens);
    }
    lengths.push_back({{"tier", cell.tier},
                       {"budget", cell.budget},
                       {"policy", cell.policy},
                       {"tokens", std::move(tokens)}});
  }
  return lengths;
}

ordered_json numbers_of(const Sources &sources, const PageArguments &arguments) {
  ordered_json numbers = {{"title", arguments.title},
                          {"evaluations", ordered_json::array()},
                          {"recall", ordered_json::array()},
                          {"fidelity", sources.fidelity},
                          {"benches", sources.benches}};
  for (const auto &[title, runs] : sources.evaluations) {
    const std::vector<eval::Record> &records = runs.records();
    const eval::Summary summary =
        eval::summarise(records, arguments.base.value_or(eval::usual_base(records)));
    ordered_json run = to_json(summary);
    run["model"] = title;
    run["lengths"] = lengths_of(records, summary);
    numbers["evaluations"].push_back(std::move(run));
  }
  std::multimap<std::int64_t, ordered_json> recalled;  // by the tokens of the shortest text
  for (const auto &[texts, paths] : sources.recall) {
    const std::vector<recall::Record> records = recall::read_answers(paths);
    ordered_json run = recall::to_json(
        recall::summarise(records, arguments.base.value_or(recall::usual_base(records))));
    run["model"] = texts.title;
    const auto shortest = std::ranges::min_element(records, {}, &recall::Record::length);
    recalled.emplace(shortest == records.end() ? 0 : shortest->length, std::move(run));
  }
  for (auto &[length, run] : recalled) numbers["recall"].push_back(std::move(run));
  return numbers;
}

void make_report(const PageArguments &arguments) {
  Sources sources;
  for (const std::string &path : arguments.files) read_source(path, sources);
  const std::string numbers = numbers_of(sources, arguments).dump();
  install_interrupt_handlers();  // a script that ends early must not end us by SIGPIPE
  eval::ChildProcess script(
      {eval::python_program(), "-B", eval_script("report.py").string(), arguments.out});
  script.write(numbers);
  script.close_input();
  for (std::string line; script.read_line(line);) write_output(line + "\n");
  const int code = script.finish();
  if (code != 0) {
    throw Error(fmt::format("{} could not write the report (see above)", eval::python_program()));
  }
}

}  // namespace

void add_report_command(CLI::App &app) {
  CLI::App *command =
      app.add_subcommand("report", "one page with tables and pictures from what was measured");
  const auto arguments = std::make_shared<PageArguments>();
  command
      ->add_option("files", arguments->files,
                   "runs of `vase eval` and `vase recall`, files of `vase fidelity --out` and "
                   "`vase bench --json`")
      ->required();
  command->add_option("-o,--out", arguments->out, "folder for index.html and the pictures")
      ->capture_default_str();
  command->add_option("--title", arguments->title, "of the page")->capture_default_str();
  command->add_option("--base", arguments->base, kBaseHelp);
  command->footer(
      "The pictures are drawn by matplotlib: python3, or the Python that VASE_PYTHON names, must\n"
      "have it. The page needs no network and follows light and dark.");
  command->callback([arguments] { make_report(*arguments); });
}

}  // namespace vase::cli
