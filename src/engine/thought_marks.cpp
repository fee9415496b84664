#include "engine/thought_marks.hpp"

namespace vase::engine {

const ThoughtMarks *thought_opened_by(std::string_view prompt) {
  prompt = prompt.substr(0, prompt.find_last_not_of(" \t\r\n") + 1);
  constexpr std::string_view kBehindChannel = "<|message|>";
  if (prompt.ends_with(kBehindChannel)) prompt.remove_suffix(kBehindChannel.size());
  for (const ThoughtMarks &marks : kThoughtMarks) {
    if (prompt.ends_with(marks.open)) return &marks;
  }
  return nullptr;
}

}  // namespace vase::engine
