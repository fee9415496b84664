#include "eval/assignment.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>

#include "eval/answer.hpp"
#include "eval/thought.hpp"

namespace vase::eval {
namespace {

bool is_alnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Small letters; marks of Markdown, LaTeX and JSON as spaces.
std::string plain(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const std::string_view command : {"\\textbf", "\\text", "\\mathrm", "\\quad", "\\\\"}) {
      if (text.substr(i).starts_with(command)) i += command.size();
    }
    if (i >= text.size()) break;
    const bool mark = std::string_view("*_`\"'{}$\\&").find(text[i]) != std::string_view::npos;
    result += mark ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(text[i])));
  }
  return result;
}

struct Mention {
  std::size_t begin = 0, end = 0, name = 0;
};

std::vector<Mention> mentions_of(const std::vector<std::string> &names, const std::string &text) {
  std::vector<Mention> mentions;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string &name = names[i];
    for (auto at = text.find(name); at != text.npos; at = text.find(name, at + name.size())) {
      const auto end = at + name.size();
      if ((at > 0 && is_alnum(text[at - 1])) || (end < text.size() && is_alnum(text[end])))
        continue;
      mentions.push_back({at, end, i});
    }
  }
  std::ranges::sort(mentions, {}, &Mention::begin);
  return mentions;
}

std::string_view word_at(std::string_view &text) {
  std::size_t begin = 0;
  while (begin < text.size() && !is_alnum(text[begin])) ++begin;
  std::size_t end = begin;
  while (end < text.size() && is_alnum(text[end])) ++end;
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

// "is a knight": knight. "": it goes on with another name, which has the same ("A and B are
// knights"). Nothing if something else is said.
std::optional<std::string> role_in(std::string_view text, const std::vector<std::string> &roles) {
  for (;;) {
    const std::string_view word = word_at(text);
    if (word.empty()) return "";
    const auto role = std::ranges::find_if(
        roles, [&](const std::string &r) { return word == r || word == r + "s"; });
    if (role != roles.end()) return *role;
    constexpr std::string_view kBetween[] = {"is", "are", "a", "an", "the", "and", "both", "all"};
    if (std::ranges::find(kBetween, word) == std::end(kBetween)) return std::nullopt;
  }
}

// The whole numbers of the list that stands there, else of the line.
std::optional<std::string> numbers_in(std::string_view text) {
  const auto open = text.find_first_of("[0123456789");
  if (open == text.npos) return std::nullopt;
  const auto end = text.find_first_of(text[open] == '[' ? "]" : "\n.;", open);
  text = text.substr(open, end == text.npos ? end : end - open);
  std::string numbers;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!is_digit(text[i])) continue;
    if (!numbers.empty() && !is_digit(text[i - 1])) numbers += ' ';
    numbers += text[i];
  }
  return numbers;
}

std::string region_of(std::string_view said) {
  std::string boxes;
  for (const std::string &box : all_boxed(said)) boxes += box + "\n";
  if (!boxes.empty()) return boxes;
  return last_tagged(said).value_or(std::string(said));
}

}  // namespace

std::string text_of(const Assignment &assignment) {
  std::string text;
  for (const std::string &role : assignment.roles) text += (text.empty() ? "" : "|") + role;
  if (!text.empty()) text += ": ";
  for (std::size_t i = 0; i < assignment.values.size(); ++i) {
    text += (i > 0 ? "; " : "") + assignment.values[i].first + "=" + assignment.values[i].second;
  }
  return text;
}

Assignment parse_assignment(std::string_view text) {
  Assignment assignment;
  const auto take = [&](std::string_view mark) {
    const auto at = std::min(text.find(mark), text.size());
    std::string part(text.substr(0, at));
    text.remove_prefix(std::min(at + mark.size(), text.size()));
    return part;
  };
  if (text.find(": ") < text.find('=')) {
    std::string roles = take(": ");
    for (std::size_t at; !roles.empty(); roles.erase(0, at == roles.npos ? at : at + 1)) {
      at = roles.find('|');
      assignment.roles.push_back(roles.substr(0, at));
    }
  }
  while (!text.empty()) {
    const std::string pair = take("; ");
    const auto equal = std::min(pair.find('='), pair.size());
    assignment.values.emplace_back(pair.substr(0, equal),
                                   equal < pair.size() ? pair.substr(equal + 1) : "");
  }
  return assignment;
}

std::optional<std::string> assignment_in(std::string_view reply, std::string_view expected) {
  Assignment assignment = parse_assignment(expected);
  const std::string text = plain(region_of(after_thinking(reply)));
  std::vector<std::string> names;
  for (const auto &[name, value] : assignment.values) names.push_back(plain(name));
  for (auto &[name, value] : assignment.values) value = "?";
  const std::vector<Mention> mentions = mentions_of(names, text);
  bool any = false;
  std::vector<std::size_t> waiting;  // names that have what the next one has
  for (std::size_t i = 0; i < mentions.size(); ++i) {
    const Mention &mention = mentions[i];
    const auto end = i + 1 < mentions.size() ? mentions[i + 1].begin : text.size();
    const std::string_view behind =
        std::string_view(text).substr(mention.end, std::max(end, mention.end) - mention.end);
    const auto value =
        assignment.roles.empty() ? numbers_in(behind) : role_in(behind, assignment.roles);
    waiting.push_back(mention.name);
    if (value && value->empty()) continue;
    for (const std::size_t name : waiting) {
      if (!value) break;
      assignment.values[name].second = *value;
      any = true;
    }
    waiting.clear();
  }
  return any ? std::optional(text_of(assignment)) : std::nullopt;
}

}  // namespace vase::eval
