// JSON from and to the network.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "observe/cache_view.hpp"

namespace vase::server {

using Json = nlohmann::json;                 ///< what comes in: finds a field among very many
using OrderedJson = nlohmann::ordered_json;  ///< what goes out: fields stay in reading order

/// Deeper nesting than any request has.
inline constexpr int kMaxDepth = 32;
/// More values than any request has; each takes memory of its own.
inline constexpr std::size_t kMaxValues = std::size_t{1} << 18U;

/// Parses a request body. Throws ApiError (400), naming the field in which the text goes wrong:
/// syntax, invalid UTF-8, a number out of range, more than kMaxDepth levels or kMaxValues values.
Json parse_json(std::string_view text);

using observe::dump;

}  // namespace vase::server
