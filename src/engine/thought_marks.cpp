#include "engine/thought_marks.hpp"

#include <algorithm>
#include <string>

#include "engine/vocabulary.hpp"

namespace vase::engine {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

// Without what models and templates write behind an opening mark.
std::string_view up_to_mark(std::string_view text) {
  text = text.substr(0, text.find_last_not_of(kSpace) + 1);
  constexpr std::string_view kBehindChannel = "<|message|>";
  if (text.ends_with(kBehindChannel)) text.remove_suffix(kBehindChannel.size());
  return text;
}

}  // namespace

const ThoughtMarks *thought_opened_by(std::string_view prompt) {
  prompt = up_to_mark(prompt);
  for (const ThoughtMarks &marks : kThoughtMarks) {
    if (prompt.ends_with(marks.open)) return &marks;
  }
  return nullptr;
}

std::size_t tokens_of_opening_mark(const llama_vocab *vocab, std::span<const llama_token> reply) {
  std::size_t tokens = 0;
  std::string text;
  for (std::size_t i = 0; i < std::min(reply.size(), kTokensOfMark); ++i) {
    text += piece(vocab, reply[i], true);
    std::string_view said = up_to_mark(text);
    said.remove_prefix(std::min(said.find_first_not_of(kSpace), said.size()));
    if (std::ranges::find(kThoughtMarks, said, &ThoughtMarks::open) != kThoughtMarks.end()) {
      tokens = i + 1;
    }
  }
  return tokens;
}

}  // namespace vase::engine
