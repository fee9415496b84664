// The JSONL file of a run: a line that says how it was made, then one line for each finished
// question. A run that was interrupted goes on in the same file.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/record.hpp"

namespace vase::eval {

/// A run as it was read.
// NOLINTNEXTLINE(bugprone-exception-escape): takes the JSON library's noexcept moves for throwing
struct Run {
  nlohmann::json settings;
  std::vector<Record> records;
  bool torn = false;  ///< the last line was not whole, as after a power cut; it is left out
};

/// Throws Error if the file cannot be read, is no run of `vase eval`, or a line but the last is
/// damaged.
Run read_run(const std::filesystem::path &path);

class RunFile {
 public:
  /// Starts a run, or goes on with the one that is there: a torn last line is cut off. Throws Error
  /// if that run was made with other settings (naming both values), if another process writes to
  /// it, or if it cannot be written. `settings`: an object of all that the results depend on.
  RunFile(const std::filesystem::path &path, const nlohmann::ordered_json &settings);
  ~RunFile();
  RunFile(const RunFile &) = delete;
  RunFile &operator=(const RunFile &) = delete;

  /// Those that were there, and those that were appended.
  const std::vector<Record> &records() const { return run_.records; }
  /// True if a torn line was cut off.
  bool was_torn() const { return run_.torn; }
  /// Writes one line and hands it to the system at once. Throws Error if that fails.
  void append(const Record &record);

 private:
  void write(const std::string &line);

  std::filesystem::path path_;
  int file_ = -1;
  Run run_;
};

}  // namespace vase::eval
