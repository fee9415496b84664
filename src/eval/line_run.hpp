// A JSONL file that begins with a line on how it was made and grows by a line for each result. A
// run that was interrupted goes on in the same file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "eval/text_file.hpp"

namespace vase::eval {

/// Which command's runs.
struct LineRunKind {
  const char *mark;     ///< in the first line, with the version of the format
  int version;          ///< of the format
  const char *command;  ///< "vase eval"
};

/// What is known of a file besides its results.
// NOLINTNEXTLINE(bugprone-exception-escape): takes the JSON library's noexcept moves for throwing
struct LineRun {
  nlohmann::json settings;  ///< null: not one whole line is there
  bool torn = false;        ///< the last line was not whole, as after a power cut; it is left out
  std::size_t whole = 0;    ///< bytes of whole lines
};

/// Called with each result and the run's settings.
using VisitLine = std::function<void(const nlohmann::json &line, const nlohmann::json &settings)>;

/// Reads the text of a run. Throws Error, naming `path`, if it is no run of that kind, or if a line
/// but the last is damaged: is no JSON, or `visit` throws nlohmann::json::exception.
LineRun parse_line_run(const std::filesystem::path &path, const std::string &text,
                       const LineRunKind &kind, const VisitLine &visit);

/// The same of a file, which must have its first line.
LineRun read_line_run(const std::filesystem::path &path, const LineRunKind &kind,
                      const VisitLine &visit);

class LineRunFile {
 public:
  /// Starts a run, whose settings are written by begin() or with the first line: what is refused
  /// before leaves none behind, and the same file may be asked for with others. Or goes on
  /// with the one that is there, of which `visit` is told: a torn last line is cut off. Throws
  /// Error if that run was made with other settings (naming both values), if another process writes
  /// to it, or if it cannot be written or is no ordinary file. `settings`: an object of all that
  /// the results depend on.
  LineRunFile(const std::filesystem::path &path, const LineRunKind &kind,
              const nlohmann::ordered_json &settings, const VisitLine &visit);

  /// As they were written when the run was started.
  const nlohmann::json &settings() const { return run_.settings; }
  /// True if a torn line was cut off.
  bool was_torn() const { return run_.torn; }
  /// Writes the settings of a run that is started. Throws Error if that fails.
  void begin();
  /// Writes one line and hands it to the system at once. Replies of broken models may be cut inside
  /// a character, which is replaced. Throws Error if that fails.
  void append(const nlohmann::ordered_json &line);

 private:
  LineFile file_;
  LineRun run_;
  std::string opening_;  // the line of the settings, as long as it is to be written
};

}  // namespace vase::eval
