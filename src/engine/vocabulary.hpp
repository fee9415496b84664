// Text as tokens, and tokens as text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "llama.h"

namespace vase::engine {

/// The tokens of a text. `at_start`: add what the model wants at the start of a text (BOS).
/// "<|im_start|>" and the like are read as the tokens they name. Throws Error if it is too long.
std::vector<llama_token> tokenize(const llama_vocab *vocab, std::string_view text, bool at_start);

/// The bytes of a token, which may be part of a character. Control tokens have none, unless
/// `control` is set: then their name.
std::string piece(const llama_vocab *vocab, llama_token token, bool control);

}  // namespace vase::engine
