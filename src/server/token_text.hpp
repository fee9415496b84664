// Tokens as OpenAI's API writes them in lists of log probabilities.
#pragma once

#include <string>
#include <string_view>

#include "engine/model.hpp"

namespace vase::server {

/// "\xf0\x9f": bytes that are not characters by themselves.
std::string spelled_bytes(std::string_view bytes);

/// A token in words: its text, the name of a control token, or spelled_bytes() after
/// `bytes_prefix` if it holds a part of a character.
std::string token_text(const engine::Model &model, llama_token token,
                       const std::string &bytes_prefix = {});

}  // namespace vase::server
