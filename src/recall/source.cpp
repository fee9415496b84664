#include "recall/source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace vase::recall {
namespace {

constexpr std::size_t kLongest = 400;
constexpr std::string_view kSpace = " \t\r\n";

bool is_space(char c) { return kSpace.find(c) != kSpace.npos; }

// What may stand between the full stop and the space: quotation marks, brackets.
bool closes(std::string_view text) {
  static constexpr std::string_view kClosing[] = {"\"", "'",      ")",      "]",
                                                  "_",  "\u201d", "\u2019", "\u00bb"};
  return std::ranges::any_of(kClosing, [&](std::string_view c) { return text == c; });
}

// Whether the words before `end`, where a space is, end a sentence.
bool ends_sentence(std::string_view words) {
  for (;;) {
    if (words.empty()) return false;
    if (std::string_view(".!?").find(words.back()) != std::string_view::npos) return true;
    bool closed = false;
    for (std::size_t n = 1; n <= 3 && n <= words.size(); ++n) {
      if (!closes(words.substr(words.size() - n))) continue;
      words.remove_suffix(n);
      closed = true;
      break;
    }
    if (!closed) return false;
  }
}

}  // namespace

std::vector<std::string> sentences_of(const std::string &text) {
  std::vector<std::string> sentences;
  const std::string_view all = text;
  std::size_t begin = 0;
  std::size_t words = all.find_first_not_of(kSpace);  // behind the space before them
  for (std::size_t i = words; i < all.size(); ++i) {
    if (!is_space(all[i]) || i <= words) continue;
    const bool line_ends = all[i] == '\n' && i + 1 < all.size() && all[i + 1] == '\n';
    const bool too_long = i - begin > kLongest;
    if (!line_ends && !too_long && !ends_sentence(all.substr(words, i - words))) continue;
    sentences.emplace_back(all.substr(begin, i - begin));
    begin = i;
    words = all.find_first_not_of(kSpace, i);
    if (words == all.npos) return sentences;
    i = words;
  }
  if (words < all.size()) sentences.emplace_back(all.substr(begin));
  return sentences;
}

Source::Source(std::string name, const std::string &text, const engine::Model &model)
    : name_(std::move(name)) {
  for (const std::string &sentence : sentences_of(text)) {
    const std::vector<llama_token> tokens = model.tokenize(sentence, false);
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    before_.push_back(std::ssize(tokens_));
  }
}

std::span<const llama_token> Source::sentences(std::size_t first, std::size_t last) const {
  return std::span(tokens_).subspan(static_cast<std::size_t>(before_[first]),
                                    static_cast<std::size_t>(before_[last] - before_[first]));
}

std::size_t Source::end_of(std::size_t first, std::int64_t tokens) const {
  const auto behind = std::ranges::upper_bound(before_, before_[first] + tokens);
  return static_cast<std::size_t>(behind - before_.begin()) - 1;
}

std::size_t Source::begin_at(std::int64_t tokens, std::uint64_t draw) const {
  if (this->tokens() < tokens) {
    throw Error(
        fmt::format("{} has {} tokens, and {} are needed: give a longer text, or smaller "
                    "--lengths or --after",
                    name_, this->tokens(), tokens));
  }
  return draw % (end_of(0, this->tokens() - tokens) + 1);
}

}  // namespace vase::recall
