#include "eval/answer.hpp"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "eval/thought.hpp"

namespace vase::eval {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kMinusSign = "\xe2\x88\x92";  // U+2212

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool is_alnum(char c) { return is_digit(c) || is_letter(c); }

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kSpace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char &c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

// A box that opens at `text[at]`: where its brace is; npos if there is none.
std::size_t brace_of_box(std::string_view text, std::size_t at) {
  for (const std::string_view mark : {"\\boxed", "\\fbox"}) {
    if (!text.substr(at).starts_with(mark)) continue;
    const auto brace = at + mark.size();
    return brace < text.size() && text[brace] == '{' ? brace : text.npos;
  }
  return text.npos;
}

struct Box {
  std::size_t begin = 0, end = 0;  // of its content
};

struct Boxes {
  std::vector<Box> closed;  // the innermost ones, in order
  bool last_is_open = false;
};

Boxes boxes_of(std::string_view text) {
  struct Brace {
    bool box = false;
    bool holds_box = false;
    std::size_t begin = 0;
  };
  Boxes boxes;
  std::vector<Brace> open;
  std::size_t last_box = text.npos;  // its brace
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      const auto brace = brace_of_box(text, i);
      if (brace == text.npos) {
        ++i;  // a brace behind a backslash is text
        continue;
      }
      open.push_back({.box = true, .begin = brace + 1});
      last_box = brace;
      i = brace;
    } else if (text[i] == '{') {
      open.push_back({.begin = i + 1});
    } else if (text[i] == '}' && !open.empty()) {
      const Brace brace = open.back();
      open.pop_back();
      if (brace.box && !brace.holds_box) boxes.closed.push_back({brace.begin, i});
      if (!open.empty() && (brace.box || brace.holds_box)) open.back().holds_box = true;
    }
  }
  boxes.last_is_open =
      last_box != text.npos && (boxes.closed.empty() || boxes.closed.back().begin != last_box + 1);
  return boxes;
}

// `text` without these, in one pass.
std::string without(std::string_view text, std::initializer_list<std::string_view> ornaments) {
  std::string bare;
  for (std::size_t i = 0; i < text.size();) {
    const auto ornament = std::ranges::find_if(
        ornaments, [&](std::string_view what) { return text.substr(i).starts_with(what); });
    if (ornament == ornaments.end()) {
      bare += text[i++];
    } else {
      i += ornament->size();
    }
  }
  return bare;
}

// "\text{ cm}", "$", "\$", "%", "," and spaces are how people write a number, not part of it.
std::string without_ornaments(std::string_view text) {
  for (const char *unit : {"\\text{", "\\textnormal{", "\\mathrm{", "\\mbox{"}) {
    if (const auto at = text.find(unit); at != text.npos && at > 0) text = text.substr(0, at);
  }
  std::string bare = without(text, {"\\$", "$", "\\%", "%", "\\,", "\\!", ",", " ", "\n", "^\\circ",
                                    "^{\\circ}", "{}", "\xe2\x82\xac", "\xc2\xa3"});
  if (bare.starts_with(kMinusSign)) bare.replace(0, kMinusSign.size(), "-");
  while (bare.ends_with('.')) bare.pop_back();
  return bare;
}

struct Found {
  std::size_t begin = 0, end = 0;
};

// The number whose first digit is text[at], with its sign, commas between thousands and decimals.
Found number_at(std::string_view text, std::size_t at) {
  const auto digit = [&](std::size_t i) { return i < text.size() && is_digit(text[i]); };
  Found number{.begin = at, .end = at};
  std::size_t sign = at;
  if (at > 0 && text[at - 1] == '-') sign = at - 1;
  if (text.substr(0, at).ends_with(kMinusSign)) sign = at - kMinusSign.size();
  // "10-3" is no negative number.
  if (sign == 0 || (!is_alnum(text[sign - 1]) && text[sign - 1] != ')')) number.begin = sign;
  while (digit(number.end)) ++number.end;
  while (number.end < text.size() && text[number.end] == ',' && digit(number.end + 1) &&
         digit(number.end + 2) && digit(number.end + 3) && !digit(number.end + 4)) {
    number.end += 4;
  }
  if (number.end < text.size() && text[number.end] == '.' && digit(number.end + 1)) {
    ++number.end;
    while (digit(number.end)) ++number.end;
  }
  return number;
}

std::optional<Found> last_number(std::string_view text) {
  std::optional<Found> last;
  for (std::size_t i = 0; i < text.size();) {
    if (!is_digit(text[i])) {
      ++i;
      continue;
    }
    last = number_at(text, i);
    i = last->end;
  }
  return last;
}

// What was put where an answer belongs: a number alone, or "x = 18 dollars".
std::optional<std::string> number_of_field(std::string_view field) {
  if (auto number = parse_number(field)) return number;
  const auto first = std::ranges::find_if(field, is_digit);
  if (first == field.end()) return std::nullopt;
  const Found found = number_at(field, static_cast<std::size_t>(first - field.begin()));
  const std::string before = without(field.substr(0, found.begin), {"\\$", "$", " "});
  if (!before.empty() && !before.ends_with('=')) return std::nullopt;
  const std::string_view unit = field.substr(found.end);
  const bool apart = unit.empty() || unit[0] == ' ' || unit[0] == '\\';
  const bool words = std::ranges::all_of(
      unit, [](char c) { return is_letter(c) || c == ' ' || c == '.' || c == '/' || c == '%'; });
  if (!apart || (!words && !unit.starts_with("\\text") && !unit.starts_with(" \\text"))) {
    return std::nullopt;
  }
  return parse_number(field.substr(found.begin, found.end - found.begin));
}

// "C", "(c)", "\text{C}", "C. Paris": C.
std::optional<std::string> label_of(std::string_view field) {
  const std::string bare = without(field, {"\\textbf", "\\text", "\\mathrm", "\\mathbf", "\\", "{",
                                           "}", "(", "*", "$", " ", "\n"});
  if (bare.empty() || !is_alnum(bare[0])) return std::nullopt;
  if (bare.size() > 1 && std::string_view(".):").find(bare[1]) == std::string_view::npos) {
    return std::nullopt;
  }
  return std::string(1, static_cast<char>(std::toupper(static_cast<unsigned char>(bare[0]))));
}

// Behind "answer": " is (C)", ": **C**". Small letters are words there.
std::optional<std::string> said_label(std::string_view text) {
  bool said = false;
  for (const std::string_view word : {" is", ":"}) {
    if (!text.starts_with(word)) continue;
    text.remove_prefix(word.size());
    said = true;
  }
  if (!said) return std::nullopt;
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view mark : {" ", "\n", "*", "(", "$", "\\text{", "\\(", "option"}) {
      if (!text.starts_with(mark)) continue;
      text.remove_prefix(mark.size());
      more = true;
    }
  }
  const bool label = !text.empty() && (is_digit(text[0]) || (text[0] >= 'A' && text[0] <= 'Z'));
  if (!label || (text.size() > 1 && (is_alnum(text[1]) || text[1] == '_'))) return std::nullopt;
  return std::string(text.substr(0, 1));
}

}  // namespace

std::vector<std::string> all_boxed(std::string_view text) {
  std::vector<std::string> contents;
  for (const Box &box : boxes_of(text).closed) {
    contents.emplace_back(trimmed(text.substr(box.begin, box.end - box.begin)));
  }
  return contents;
}

std::optional<std::string> last_boxed(std::string_view text) {
  const Boxes boxes = boxes_of(text);
  if (boxes.closed.empty() || boxes.last_is_open) return std::nullopt;
  const Box &box = boxes.closed.back();
  return std::string(trimmed(text.substr(box.begin, box.end - box.begin)));
}

std::optional<std::string> last_tagged(std::string_view text) {
  constexpr std::string_view kOpen = "<answer>", kClose = "</answer>";
  const std::string lower = lower_case(text);
  const auto open = lower.rfind(kOpen);
  if (open == lower.npos) return std::nullopt;
  const auto begin = open + kOpen.size();
  auto end = lower.find(kClose, begin);
  if (end == lower.npos) end = std::min(lower.find('\n', begin), lower.size());
  return std::string(trimmed(text.substr(begin, end - begin)));
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
  const std::string_view said = after_thinking(reply);
  if (const auto boxed = last_boxed(said)) return number_of_field(*boxed);
  if (const auto tagged = last_tagged(said)) return number_of_field(*tagged);
  const auto last = last_number(said);
  return last ? parse_number(said.substr(last->begin, last->end - last->begin)) : std::nullopt;
}

std::optional<std::string> choice_in(std::string_view reply) {
  const std::string_view said = after_thinking(reply);
  if (const auto boxed = last_boxed(said)) return label_of(*boxed);
  if (const auto tagged = last_tagged(said)) return label_of(*tagged);
  std::optional<std::string> last;
  constexpr std::string_view kWord = "nswer";
  for (auto at = said.find(kWord); at != said.npos; at = said.find(kWord, at + kWord.size())) {
    if (at == 0 || (said[at - 1] != 'a' && said[at - 1] != 'A')) continue;
    if (auto label = said_label(said.substr(at + kWord.size()))) last = std::move(label);
  }
  if (last) return last;
  const std::string_view alone = trimmed(said);  // "(C)." and no more
  return alone.size() <= 4 ? label_of(alone) : std::nullopt;
}

std::optional<std::string> words_in(std::string_view reply) {
  const std::string_view said = after_thinking(reply);
  std::string answer(said);
  if (const auto boxed = last_boxed(said)) {
    answer = *boxed;
  } else if (const auto tagged = last_tagged(said)) {
    answer = *tagged;
  }
  std::string words;
  for (std::size_t i = 0; i < answer.size(); ++i) {
    if (answer[i] == '\\') {  // "\text{Tom}"
      while (i + 1 < answer.size() && is_letter(answer[i + 1])) ++i;
    } else if (is_alnum(answer[i]) || static_cast<unsigned char>(answer[i]) >= 0x80) {
      words += answer[i];
    } else if (!words.empty() && words.back() != ' ') {
      words += ' ';
    }
  }
  if (words.ends_with(' ')) words.pop_back();
  if (words.empty()) return std::nullopt;
  return lower_case(words);
}

}  // namespace vase::eval
