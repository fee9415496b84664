// Fields of a request that ask for something which this server does not do.
#pragma once

#include "server/fields.hpp"
#include "server/request.hpp"

namespace vase::server {

/// Refuses fields of OpenAI's, llama.cpp's and vLLM's servers that would change or constrain the
/// answer, unless they have the value that asks for nothing. Throws ApiError (400).
void refuse_unsupported(Api api, const Fields &body);

/// The same for a message of a conversation: what a chat template does not write, such as calls of
/// tools, is refused rather than dropped.
void refuse_unsupported_in_message(const Fields &message);

}  // namespace vase::server
