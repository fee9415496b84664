// Tokens as OpenAI's API writes them in lists of log probabilities.
#pragma once

#include <string>
#include <string_view>

namespace vase::server {

/// "\xf0\x9f": bytes that are not characters by themselves.
std::string spelled_bytes(std::string_view bytes);

/// `piece`, the bytes of a token, as text: with spelled_bytes() after `bytes_prefix` if it holds a
/// part of a character.
std::string token_text(const std::string &piece, const std::string &bytes_prefix = {});

}  // namespace vase::server
