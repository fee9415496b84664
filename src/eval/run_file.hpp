// The JSONL file of a run: a line that says how it was made, then one line for each finished
// question. A run that was interrupted goes on in the same file.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "eval/line_run.hpp"
#include "eval/record.hpp"
#include "eval/ungraded_answers.hpp"

namespace vase::eval {

/// A run as it was read.
// NOLINTNEXTLINE(bugprone-exception-escape): takes the JSON library's noexcept moves for throwing
struct Run {
  nlohmann::json settings;
  std::vector<Record> records;
  bool torn = false;  ///< the last line was not whole, as after a power cut; it is left out
};

/// The file of a run that is named by its file or by its folder: results.jsonl there.
std::filesystem::path run_path_of(const std::filesystem::path &path);

/// Reads a run by its file or folder. Throws Error if the file cannot be read, is no run of `vase
/// eval`, or a line but the last is damaged.
Run read_run(const std::filesystem::path &file_or_folder);

/// The answers of several runs of one model. One that is there twice, as in a copy of a file,
/// counts once.
class RunCollection {
 public:
  /// Returns how many of its answers were there already. Throws Error, naming both, if they are of
  /// another model or with other adapters than those that were added before.
  std::size_t add(Run run);
  const std::vector<Record> &records() const { return records_; }

 private:
  std::vector<Record> records_;
  std::set<std::string> seen_;
  std::optional<std::string> model_;  // with its adapters
};

class RunFile {
 public:
  /// Starts a run as LineRunFile, or goes on with the one that is there: a torn last line is cut
  /// off. Throws Error if that run was made with other settings (naming both values), if another
  /// process writes to it, or if it cannot be written or is no ordinary file. `settings`: an object
  /// of all that the results depend on.
  RunFile(const std::filesystem::path &path, const nlohmann::ordered_json &settings);
  /// As LineRunFile::begin.
  void begin() { file_.begin(); }
  /// Those that were there, and those that were appended.
  const std::vector<Record> &records() const { return records_; }
  /// True if a torn line was cut off.
  bool was_torn() const { return file_.was_torn(); }
  /// Answers that an earlier process has held and not appended.
  std::vector<Record> ungraded() const { return ungraded_.left(); }
  /// Writes an answer down before it is graded, text included, in a file beside the run. Throws
  /// Error if that fails.
  void hold(const Record &record);
  /// Writes one line and hands it to the system at once. If it was held, it is no more. Throws
  /// Error if that fails.
  void append(const Record &record);

 private:
  std::vector<Record> records_;
  LineRunFile file_;
  UngradedAnswers ungraded_;
};

}  // namespace vase::eval
