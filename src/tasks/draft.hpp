// What a task's generator hands back, and the small tools it writes with.
#pragma once

#include <string>
#include <type_traits>

#include "tasks/problem.hpp"
#include "tasks/random.hpp"

namespace vase::tasks {

/// A problem before it has an id. `content` is the problem without wording and names, for split_of.
struct Draft {
  std::string question;
  std::string content;
  std::string chain;
  std::string answer;
};

/// Puts texts and numbers one after the other: cat("a = ", 5) is "a = 5".
template <typename... Parts>
std::string cat(const Parts&... parts) {
  std::string text;
  const auto add = [&text](const auto& part) {
    if constexpr (std::is_same_v<std::decay_t<decltype(part)>, int>) {
      text += std::to_string(part);
    } else {
      text += part;
    }
  };
  (add(parts), ...);
  return text;
}

/// A chain that grows line by line and knows its length in tokens.
class ChainText {
 public:
  template <typename... Parts>
  void line(const Parts&... parts) {
    const std::string added = cat(parts..., "\n");
    tokens_ += count_tokens(added);
    text_ += added;
  }

  int tokens() const { return tokens_; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  int tokens_ = 0;
};

/// How long a chain of this tier should get before its generator stops adding parts, when each
/// part has about `part_tokens` tokens and the closing `closing_tokens`.
int draw_goal(Rng& rng, const Lengths& lengths, int part_tokens, int closing_tokens);

/// Two-digit arithmetic, as several tasks need it: the last two digits, and 100 added below zero.
int wrap(int value);

/// "56" for 56, "156, so 56" for 156, "-44, so 56" for -44.
std::string wrapped(int value);

}  // namespace vase::tasks
