// Answers that are written down and not graded yet, in a file beside the run: whatever a grader
// does, the answer is not lost.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "eval/record.hpp"
#include "eval/text_file.hpp"

namespace vase::eval {

class UngradedAnswers {
 public:
  /// Reads those that an earlier process left in `path`. The file is there only while there are
  /// some. Throws Error if it cannot be read.
  explicit UngradedAnswers(std::filesystem::path path);
  ~UngradedAnswers();
  UngradedAnswers(const UngradedAnswers &) = delete;
  UngradedAnswers &operator=(const UngradedAnswers &) = delete;

  /// Those of an earlier process that are still there, with their text.
  std::vector<Record> left() const;
  /// Writes one down, text included. Throws Error if that fails.
  void add(const Record &record);
  /// This one is graded and written elsewhere.
  void remove(const Record &record);

 private:
  void forget_all();

  std::filesystem::path path_;
  std::vector<Record> found_;
  std::set<std::string> waiting_;  // by key_of
  std::unique_ptr<LineFile> file_;
};

}  // namespace vase::eval
