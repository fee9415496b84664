// From the body of a request to what it asks for. Knows nothing of HTTP and of the model, so that
// it can be fuzzed.
#pragma once

#include <string_view>

#include "server/request.hpp"

namespace vase::server {

/// Throws ApiError (400) with a message that names the field. Fields that OpenAI knows and this
/// server cannot honour are refused if they ask for something; fields that nobody knows are
/// ignored.
CompletionRequest parse_request(Api api, std::string_view body, const RequestRules &rules);

}  // namespace vase::server
