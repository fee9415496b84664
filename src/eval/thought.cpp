#include "eval/thought.hpp"

#include <algorithm>
#include <array>

#include "engine/thought_marks.hpp"

namespace vase::eval {
namespace {

// Control tokens that stand among the marks of thoughts, or are parts of them.
constexpr std::array<std::string_view, 3> kParts = {"<|channel|>", "<|message|>", "<|end|>"};

}  // namespace

std::string_view after_thinking(std::string_view reply) {
  std::size_t said = 0;
  for (const engine::ThoughtMarks &marks : engine::kThoughtMarks) {
    const auto opened = reply.rfind(marks.open);
    const auto closed = reply.rfind(marks.close);
    if (opened != reply.npos && (closed == reply.npos || closed < opened)) return {};
    if (closed != reply.npos) said = std::max(said, closed + marks.close.size());
  }
  return reply.substr(said);
}

bool is_thought_mark(std::string_view text) {
  const auto same = [&](const engine::ThoughtMarks &marks) {
    return text == marks.open || text == marks.close;
  };
  return std::ranges::any_of(engine::kThoughtMarks, same) ||
         std::ranges::find(kParts, text) != kParts.end();
}

}  // namespace vase::eval
