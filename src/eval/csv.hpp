// Tables with commas (RFC 4180): the first line names the columns, fields may be in quotes.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace vase::eval {

/// Each row as an object of texts, with the number of the line where it begins. Throws Error that
/// names the line if a row has not as many fields as the first line, or if a quote never closes.
std::vector<std::pair<int, nlohmann::json>> read_csv(std::string_view text);

}  // namespace vase::eval
