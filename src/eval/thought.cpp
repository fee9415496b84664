#include "eval/thought.hpp"

#include <algorithm>
#include <array>

namespace vase::eval {
namespace {

struct Marks {
  std::string_view open, close;
};

constexpr std::array<Marks, 11> kMarks = {{
    {"<think>", "</think>"},
    {"<thinking>", "</thinking>"},
    {"<thought>", "</thought>"},
    {"<reasoning>", "</reasoning>"},
    {"<|begin_of_thought|>", "<|end_of_thought|>"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
    {"<|channel|>analysis", "<|channel|>final"},
    {"<|channel|>commentary", "<|channel|>final"},
    {"[THINK]", "[/THINK]"},
    {"<seed:think>", "</seed:think>"},
    {"\xe2\x97\x81think\xe2\x96\xb7", "\xe2\x97\x81/think\xe2\x96\xb7"},
}};

// Control tokens that stand among the marks above, or are parts of them.
constexpr std::array<std::string_view, 3> kParts = {"<|channel|>", "<|message|>", "<|end|>"};

}  // namespace

std::string_view after_thinking(std::string_view reply) {
  std::size_t said = 0;
  for (const auto &[open, close] : kMarks) {
    const auto opened = reply.rfind(open);
    const auto closed = reply.rfind(close);
    if (opened != reply.npos && (closed == reply.npos || closed < opened)) return {};
    if (closed != reply.npos) said = std::max(said, closed + close.size());
  }
  return reply.substr(said);
}

std::string_view thought_opened_by(std::string_view prompt) {
  prompt = prompt.substr(0, prompt.find_last_not_of(" \t\r\n") + 1);
  for (const Marks &marks : kMarks) {
    if (prompt.ends_with(marks.open)) return marks.open;
  }
  if (prompt.ends_with("<|channel|>analysis<|message|>")) return "<|channel|>analysis";
  return {};
}

bool is_thought_mark(std::string_view text) {
  const auto same = [&](const Marks &marks) { return text == marks.open || text == marks.close; };
  return std::ranges::any_of(kMarks, same) || std::ranges::find(kParts, text) != kParts.end();
}

}  // namespace vase::eval
