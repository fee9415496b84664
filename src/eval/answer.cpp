#include "eval/answer.hpp"

#include <algorithm>
#include <cctype>
#include <regex>

namespace vase::eval {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

// The content of the braces that open at `open`; nothing if they never close.
std::optional<std::string> braced(std::string_view text, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && --depth == 0) return trimmed(text.substr(open + 1, i - open - 1));
  }
  return std::nullopt;
}

void remove_all(std::string &text, std::string_view what) {
  for (auto at = text.find(what); at != text.npos; at = text.find(what)) {
    text.erase(at, what.size());
  }
}

// "\text{ cm}", "$", "\$", "%", "," and spaces are how people write a number, not part of it.
std::string without_ornaments(std::string_view text) {
  std::string bare(text);
  for (const char *unit : {"\\text{", "\\mathrm{", "\\mbox{"}) {
    if (const auto at = bare.find(unit); at != bare.npos && at > 0) bare.erase(at);
  }
  for (const char *what : {"\\$", "$", "\\%", "%", "\\,", "\\!", ",", " ", "\n", "^\\circ", "{}"}) {
    remove_all(bare, what);
  }
  while (bare.ends_with('.')) bare.pop_back();
  return bare;
}

}  // namespace

std::string_view after_thinking(std::string_view reply) {
  constexpr std::string_view kEnd = "</think>";
  const auto end = reply.rfind(kEnd);
  return end == reply.npos ? reply : reply.substr(end + kEnd.size());
}

std::optional<std::string> last_boxed(std::string_view text) {
  std::size_t latest = text.npos;
  for (const std::string_view mark : {"\\boxed{", "\\fbox{"}) {
    const auto at = text.rfind(mark);
    if (at == text.npos) continue;
    const auto open = at + mark.size() - 1;
    if (latest == text.npos || open > latest) latest = open;
  }
  return latest == text.npos ? std::nullopt : braced(text, latest);
}

std::optional<std::string> parse_number(std::string_view text) {
  std::string number = without_ornaments(text);
  const bool negative = number.starts_with('-');
  if (negative || number.starts_with('+')) number.erase(0, 1);
  const auto point = number.find('.');
  std::string whole = number.substr(0, point);
  std::string fraction = point == number.npos ? "" : number.substr(point + 1);
  if (whole.empty() && fraction.empty()) return std::nullopt;
  if (!std::ranges::all_of(whole, is_digit) || !std::ranges::all_of(fraction, is_digit)) {
    return std::nullopt;
  }
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
  while (fraction.ends_with('0')) fraction.pop_back();
  if (whole.empty()) whole = "0";
  std::string value = fraction.empty() ? whole : whole + "." + fraction;
  return negative && value != "0" ? "-" + value : value;
}

std::optional<std::string> number_in(std::string_view reply) {
  const std::string said(after_thinking(reply));
  if (const auto boxed = last_boxed(said)) return parse_number(*boxed);
  static const std::regex kNumber(R"(-?\d[\d,]*(\.\d+)?)");
  std::optional<std::string> last;
  for (std::sregex_iterator it(said.begin(), said.end(), kNumber), end; it != end; ++it) {
    last = parse_number(it->str());
  }
  return last;
}

std::optional<std::string> choice_in(std::string_view reply) {
  std::string said(after_thinking(reply));
  if (const auto boxed = last_boxed(said)) {
    std::string inside = *boxed;
    for (const char *what : {"\\text", "\\textbf", "\\mathrm", "{", "}", "(", ")", ".", " "}) {
      remove_all(inside, what);
    }
    if (inside.size() != 1 || std::isalpha(static_cast<unsigned char>(inside[0])) == 0) {
      return std::nullopt;
    }
    return std::string(1, static_cast<char>(std::toupper(static_cast<unsigned char>(inside[0]))));
  }
  static const std::regex kSaid(R"([Aa]nswer(?: is|:)\s*\**\s*\(?([A-Z])\b)");
  std::optional<std::string> last;
  for (std::sregex_iterator it(said.begin(), said.end(), kSaid), end; it != end; ++it) {
    last = (*it)[1].str();
  }
  return last;
}

}  // namespace vase::eval
