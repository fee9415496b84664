// What is written down of one answer: one line of the JSONL file. Nothing of the text that was read
// is in it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace vase::recall {

struct Record {
  std::string category;
  std::optional<double> depth;  ///< of its first fact; nothing: spread over the text
  std::int64_t length = 0;      ///< tokens of the text, as asked for
  int text = 0;                 ///< among the texts of that length
  std::string item;             ///< its id in the text
  std::string policy;           ///< as asked for: "NAME", "NAME+prompt"
  std::string budget;           ///< as asked for: "4x", "1024"; "full"
  std::int32_t rows = 0;        ///< what the budget came to; 0: all
  std::int64_t after = 0;       ///< tokens read on after the text before it was asked, as asked for
  bool right = false;
  double fraction = 0;  ///< of what was expected
  std::vector<std::string> expected;
  std::string answer;
  std::string cache_types = "f16/f16";  ///< of the whole run, so in no line
};

nlohmann::ordered_json to_json(const Record &record);
/// Throws nlohmann::json::exception if a field is missing or of another type.
Record record_from_json(const nlohmann::json &line, const std::string &cache_types);

/// What makes a record one of its kind in a run.
std::string key_of(const Record &record);

}  // namespace vase::recall
