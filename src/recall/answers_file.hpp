// The JSONL file of a run of `vase recall`, which goes on in it.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "eval/line_run.hpp"
#include "recall/record.hpp"

namespace vase::recall {

class AnswersFile {
 public:
  /// As eval::LineRunFile.
  AnswersFile(const std::filesystem::path &path, const nlohmann::ordered_json &settings);

  void begin() { file_.begin(); }
  const std::vector<Record> &records() const { return records_; }
  bool was_torn() const { return file_.was_torn(); }
  /// Whether an answer of that key (key_of) is there.
  bool has(const std::string &key) const { return keys_.contains(key); }
  /// Throws Error if it cannot be written.
  void append(const Record &record);

 private:
  std::vector<Record> records_;
  std::set<std::string> keys_;
  eval::LineRunFile file_;
};

/// All answers of some files. What is there twice counts once. Throws Error if one cannot be read,
/// or two are of different models or of different texts, whose answers are no pairs.
std::vector<Record> read_answers(const std::vector<std::string> &paths);

}  // namespace vase::recall
