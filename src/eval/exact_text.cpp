#include "eval/exact_text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

#include "eval/answer.hpp"
#include "eval/thought.hpp"

namespace vase::eval {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char &c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::string last_lines(std::string_view text, std::ptrdiff_t count) {
  text = text.substr(0, text.find_last_not_of(" \t\r\n`") + 1);
  std::size_t begin = text.size();
  for (std::ptrdiff_t i = 0; i < count && begin != text.npos && begin > 0; ++i) {
    begin = text.rfind('\n', begin - 1);
  }
  return std::string(begin == text.npos ? text : text.substr(begin));
}

// What may be the answer, likelier ones first.
std::vector<std::string> candidates(std::string_view said, std::string_view expected) {
  if (const auto boxed = last_boxed(said)) return {*boxed};
  if (const auto tagged = last_tagged(said)) return {*tagged};
  const std::string lower = lower_case(said);
  std::size_t behind = lower.npos;
  for (const std::string_view mark : {"answer is", "answer:", "answer:**"}) {
    const auto at = lower.rfind(mark);
    if (at == lower.npos) continue;
    const auto end = at + mark.size();
    behind = behind == lower.npos ? end : std::max(behind, end);
  }
  if (behind == lower.npos) {
    return {last_lines(said, 1 + std::ranges::count(expected, '\n'))};
  }
  std::string_view rest = said.substr(behind);
  rest = rest.substr(std::min(rest.find_first_not_of(" \t\r\n:*"), rest.size()));
  std::size_t end = 0;  // as many lines as the answer has
  for (std::ptrdiff_t i = std::ranges::count(expected, '\n'); i >= 0 && end != rest.npos; --i) {
    end = rest.find('\n', end + (end > 0 ? 1 : 0));
  }
  const std::string_view lines = rest.substr(0, end);
  return {std::string(lines), std::string(lines.substr(0, lines.find(". ")))};
}

bool is_either(const std::string &word) {
  return word == "yes" || word == "no" || word == "true" || word == "false";
}

}  // namespace

std::string plain_text(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 19> kWritten = {{
      {"\\textbf", ""},
      {"\\text", ""},
      {"\\mathrm", ""},
      {"\\mathbf", ""},
      {"\\dfrac", ""},
      {"\\frac", ""},
      {"}{", "/"},
      {"\\times", "\xc3\x97"},
      {"\\cdot", "\xc3\x97"},
      {"\\(", ""},
      {"\\)", ""},
      {"\\left", ""},
      {"\\right", ""},
      {"\xe2\x88\x92", "-"},
      {"\xe2\x80\x99", "'"},
      {"\xe2\x80\x9c", ""},
      {"\xe2\x80\x9d", ""},
      {"\\\\", " "},
      {"\\", ""},
  }};
  std::string bare;
  for (std::size_t i = 0; i < text.size();) {
    const auto written = std::ranges::find_if(
        kWritten, [&](const auto &w) { return text.substr(i).starts_with(w.first); });
    if (written != kWritten.end()) {
      bare += written->second;
      i += written->first.size();
      continue;
    }
    const char c = text[i++];
    const bool product = c == '*' && i > 1 && i < text.size() &&
                         (is_digit(text[i - 2]) || text[i - 2] == ' ') &&
                         (is_digit(text[i]) || text[i] == ' ');
    if (product) bare += "\xc3\x97";
    if (std::string_view("{}$*`\"").find(c) != std::string_view::npos) continue;
    bare += c == ',' ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  std::string plain;
  bool space = false;
  const auto close = [](std::string_view before) {
    return before.empty() || before.ends_with("\xc3\x97") ||
           std::string_view("[(/:").find(before.back()) != std::string_view::npos;
  };
  for (std::size_t i = 0; i < bare.size(); ++i) {
    if (std::isspace(static_cast<unsigned char>(bare[i])) != 0) {
      space = true;
      continue;
    }
    const bool sign = std::string_view("])/:").find(bare[i]) != std::string_view::npos ||
                      std::string_view(bare).substr(i).starts_with("\xc3\x97");
    if (space && !sign && !close(plain)) plain += ' ';
    space = false;
    plain += bare[i];
  }
  while (plain.ends_with('.') || plain.ends_with('!')) plain.pop_back();
  return plain;
}

std::optional<std::string> text_in(std::string_view reply, std::string_view expected) {
  const std::string wanted = plain_text(expected);
  std::optional<std::string> first;
  for (const std::string &candidate : candidates(after_thinking(reply), expected)) {
    const std::string said = plain_text(candidate);
    if (said.empty()) continue;
    const std::string word = said.substr(0, said.find_first_of(" .;:"));
    if (said == wanted || (is_either(wanted) && word == wanted)) return std::string(expected);
    if (!first) first = said;
  }
  return first;
}

}  // namespace vase::eval
