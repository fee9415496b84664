#include "engine/vocabulary.hpp"

#include <algorithm>
#include <cstdint>

#include "vase/llama.hpp"

namespace vase::engine {

std::vector<llama_token> tokenize(const llama_vocab *vocab, std::string_view text, bool at_start) {
  const auto length = static_cast<std::int32_t>(text.size());
  std::vector<llama_token> tokens(text.size() + 2);  // a token has a byte at least, but BOS and EOS
  const auto tokenize_into = [&] {
    return llama_tokenize(vocab, text.data(), length, tokens.data(),
                          static_cast<std::int32_t>(tokens.size()), at_start, true);
  };
  std::int32_t count = tokenize_into();
  if (count < 0) {
    tokens.resize(static_cast<std::size_t>(-count));
    count = tokenize_into();
  }
  if (count < 0) throw Error("the text is too long to be tokenised");
  tokens.resize(static_cast<std::size_t>(count));
  return tokens;
}

std::string piece(const llama_vocab *vocab, llama_token token, bool control) {
  std::string text(32, '\0');
  const auto write = [&] {
    return llama_token_to_piece(vocab, token, text.data(), static_cast<std::int32_t>(text.size()),
                                0, control);
  };
  std::int32_t length = write();
  if (length < 0) {
    text.resize(static_cast<std::size_t>(-length));
    length = write();
  }
  text.resize(static_cast<std::size_t>(std::max(length, 0)));
  return text;
}

}  // namespace vase::engine
