#include "tasks/problem.hpp"

#include "tasks/random.hpp"

namespace vase::tasks {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

Lengths lengths_of(Tier tier) {
  switch (tier) {
    case Tier::k1k:
      return {700, 1100, 180, true};
    case Tier::k2k:
      return {1700, 2200, 170, true};
    case Tier::k4k:
      return {3400, 4200, 330, false};
    case Tier::k8k:
      return {6700, 7500, 480, false};
  }
  return {};
}

std::string_view name_of(Tier tier) {
  switch (tier) {
    case Tier::k1k:
      return "1k";
    case Tier::k2k:
      return "2k";
    case Tier::k4k:
      return "4k";
    case Tier::k8k:
      return "8k";
  }
  return {};
}

std::string_view name_of(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kTune:
      return "tune";
    case Split::kTest:
      return "test";
  }
  return {};
}

std::optional<Tier> tier_from_name(std::string_view name) {
  for (const Tier tier : kAllTiers) {
    if (name == name_of(tier)) return tier;
  }
  return std::nullopt;
}

std::optional<Split> split_from_name(std::string_view name) {
  for (const Split split : {Split::kTrain, Split::kTune, Split::kTest}) {
    if (name == name_of(split)) return split;
  }
  return std::nullopt;
}

Split split_of(std::string_view content) {
  switch (hash_text(content) % 16) {
    case 0:
      return Split::kTest;
    case 1:
      return Split::kTune;
    default:
      return Split::kTrain;
  }
}

int count_tokens(std::string_view text) {
  int count = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (is_letter(text[i])) {
      while (i < text.size() && is_letter(text[i])) ++i;
    } else if (text[i] == ' ' && i + 1 < text.size() && !is_digit(text[i + 1])) {
      ++i;  // the space belongs to the word or sign after it
      continue;
    } else {
      ++i;
    }
    ++count;
  }
  return count;
}

std::string chat_prompt(std::string_view question) {
  std::string text = "<|im_start|>user\n";
  text += question;
  text += "<|im_end|>\n<|im_start|>assistant\n";
  return text;
}

std::string chat_reply(const Problem& problem) {
  return "<think>\n" + problem.chain + "</think>\n\nThe answer is \\boxed{" + problem.answer + "}.";
}

}  // namespace vase::tasks
