// UTF-8 across token borders: a token's bytes may begin or end inside a character.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace vase::engine {

/// Offset of the first byte that is not part of a valid UTF-8 character; nullopt if all are.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

/// Collects pieces of tokens and gives back whole characters only. What can never become a valid
/// character is replaced by U+FFFD, so that the output is valid UTF-8 whatever the model emits.
class Utf8Assembler {
 public:
  /// Appends a piece; returns the characters that are complete now.
  std::string push(std::string_view piece);
  /// Ends the text: an unfinished character becomes U+FFFD.
  std::string finish();
  /// No character is unfinished.
  bool between_characters() const { return pending_.empty(); }

 private:
  std::string pending_;  // at most three bytes: the start of a character
};

}  // namespace vase::engine
