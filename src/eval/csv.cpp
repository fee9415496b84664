#include "eval/csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "vase/llama.hpp"

namespace vase::eval {
namespace {

// The next row of `text`, which is cut off there.
std::vector<std::string> take_row(std::string_view &text, int line) {
  std::vector<std::string> fields = {""};
  bool quoted = false;
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' && quoted && i + 1 < text.size() && text[i + 1] == '"') {
      fields.back() += c;
      ++i;
    } else if (c == '"' && (quoted || fields.back().empty())) {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else if (c == '\n' && !quoted) {
      ++i;
      break;
    } else if (c != '\r' || quoted) {
      fields.back() += c;
    }
  }
  if (quoted) throw Error(fmt::format("line {}: a quote never closes", line));
  text.remove_prefix(i);
  return fields;
}

}  // namespace

std::vector<std::pair<int, nlohmann::json>> read_csv(std::string_view text) {
  std::vector<std::pair<int, nlohmann::json>> rows;
  std::vector<std::string> names;
  for (int line = 1; !text.empty();) {
    const std::string_view before = text;
    std::vector<std::string> fields = take_row(text, line);
    const std::string_view row = before.substr(0, before.size() - text.size());
    if (names.empty()) {
      names = std::move(fields);
    } else if (fields.size() > 1 || !fields[0].empty()) {
      if (fields.size() != names.size()) {
        throw Error(fmt::format("line {}: {} fields, the first line has {}", line, fields.size(),
                                names.size()));
      }
      nlohmann::json object = nlohmann::json::object();
      for (std::size_t i = 0; i < names.size(); ++i) object[names[i]] = std::move(fields[i]);
      rows.emplace_back(line, std::move(object));
    }
    line += static_cast<int>(std::ranges::count(row, '\n'));
  }
  return rows;
}

}  // namespace vase::eval
