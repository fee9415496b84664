#include "engine/utf8.hpp"

namespace vase::engine {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Character {
  std::size_t length;  // bytes that belong together
  bool valid;
  bool complete;  // false: valid so far, but the text ends inside it
};

bool in_range(char c, unsigned low, unsigned high) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= low && byte <= high;
}

// Range of the second byte: narrower than that of the others after these leads, which is what
// excludes overlong forms, surrogates and code points above U+10FFFF (Unicode, table 3-7).
bool valid_second_byte(unsigned char lead, char second) {
  switch (lead) {
    case 0xE0:
      return in_range(second, 0xA0, 0xBF);
    case 0xED:
      return in_range(second, 0x80, 0x9F);
    case 0xF0:
      return in_range(second, 0x90, 0xBF);
    case 0xF4:
      return in_range(second, 0x80, 0x8F);
    default:
      return in_range(second, 0x80, 0xBF);
  }
}

std::size_t length_from_lead(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// The character at the start of `text`, which is not empty.
Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = length_from_lead(lead);
  if (length == 0) return {1, false, true};
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {i, true, false};
    const bool fits = i == 1 ? valid_second_byte(lead, text[i]) : in_range(text[i], 0x80, 0xBF);
    if (!fits) return {i, false, true};
  }
  return {length, true, true};
}

}  // namespace

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Character character = first_character(text.substr(at));
    if (!character.valid || !character.complete) return at;
    at += character.length;
  }
  return std::nullopt;
}

std::string Utf8Assembler::push(std::string_view piece) {
  pending_.append(piece);
  std::string whole;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Character character = first_character(rest);
    if (!character.complete) break;
    whole.append(character.valid ? rest.substr(0, character.length) : kReplacement);
    rest.remove_prefix(character.length);
  }
  pending_ = std::string(rest);
  return whole;
}

std::string Utf8Assembler::finish() {
  if (pending_.empty()) return {};
  pending_.clear();
  return std::string(kReplacement);
}

}  // namespace vase::engine
