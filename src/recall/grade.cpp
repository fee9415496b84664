#include "recall/grade.hpp"

#include <algorithm>
#include <cctype>
#include <set>

namespace vase::recall {
namespace {

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
// Also what is no ASCII, or "plums" would stand alone in the middle of a foreign word.
bool is_of_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || static_cast<signed char>(c) < 0;
}

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

bool separates_thousands(const std::string &text, std::size_t at) {
  const auto digit = [&](std::size_t i) { return i < text.size() && is_digit(text[i]); };
  return text[at] == ',' && at > 0 && digit(at - 1) && digit(at + 1) && digit(at + 2) &&
         digit(at + 3) && !digit(at + 4);
}

std::set<std::string> words_of(const std::string &text) {
  std::set<std::string> words;
  std::string word;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_of_word(text[i])) {
      word += lower(text[i]);
    } else if (!separates_thousands(text, i)) {
      words.insert(word);
      word.clear();
    }
  }
  words.insert(word);
  return words;
}

}  // namespace

Grade grade(const Item &item, const std::string &answer) {
  const std::set<std::string> words = words_of(answer);
  const auto said = [&](std::string value) {
    std::ranges::transform(value, value.begin(), lower);
    return words.contains(value);
  };
  const auto found = std::ranges::count_if(item.expected, said);
  return {.right = found == std::ssize(item.expected) && std::ranges::none_of(item.wrong, said),
          .fraction = static_cast<double>(found) / static_cast<double>(item.expected.size())};
}

}  // namespace vase::recall
