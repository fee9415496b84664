#include "tasks/grade.hpp"

namespace vase::tasks {

std::optional<std::string> final_answer(std::string_view reply) {
  constexpr std::string_view kThinking = "<think>";
  constexpr std::string_view kEndOfThinking = "</think>";
  constexpr std::string_view kBox = "\\boxed{";
  const std::size_t end = reply.rfind(kEndOfThinking);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view said = reply.substr(end + kEndOfThinking.size());
  if (said.find(kThinking) != std::string_view::npos) return std::nullopt;
  const std::size_t box = said.rfind(kBox);
  if (box == std::string_view::npos) return std::nullopt;
  const std::string_view inside = said.substr(box + kBox.size());
  const std::size_t close = inside.find('}');
  if (close == std::string_view::npos) return std::nullopt;
  const std::string_view answer = inside.substr(0, close);
  const std::size_t first = answer.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t last = answer.find_last_not_of(" \t\n");
  return std::string(answer.substr(first, last - first + 1));
}

bool is_correct(std::string_view reply, std::string_view answer) {
  return final_answer(reply) == answer;
}

}  // namespace vase::tasks
