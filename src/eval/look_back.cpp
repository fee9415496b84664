#include "eval/look_back.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <string_view>
#include <utility>

#include "tasks/random.hpp"

namespace vase::eval {
namespace {

constexpr int kOfEachKind = 2;
constexpr std::int64_t kLimit = 96;  // tokens: the answer alone is asked for
constexpr const char *kGap = "____";

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_upper(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

/// A sentence with a gap, and what stood there.
struct Gap {
  std::string sentence;
  std::string word;
};

// Sentences end at ". ", "? ", "! " or a line's end.
std::vector<std::string> sentences_of(std::string_view text) {
  std::vector<std::string> sentences;
  std::string sentence;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool line = text[i] == '\n';
    if (!line) sentence += text[i];
    const bool stop = text[i] == '.' || text[i] == '?' || text[i] == '!';
    const bool ends = line || i + 1 == text.size() || (stop && text[i + 1] == ' ');
    if (!ends) continue;
    sentence.erase(0, std::min(sentence.find_first_not_of(' '), sentence.size()));
    if (!sentence.empty()) sentences.push_back(std::exchange(sentence, {}));
  }
  return sentences;
}

std::size_t occurrences(std::string_view text, std::string_view word) {
  std::size_t count = 0;
  for (auto at = text.find(word); at != text.npos; at = text.find(word, at + word.size())) ++count;
  return count;
}

std::string without(std::string sentence, const std::string &word) {
  for (auto at = sentence.find(word); at != sentence.npos; at = sentence.find(word, at)) {
    sentence.replace(at, word.size(), kGap);
  }
  return sentence;
}

// The first run of characters that are all `member`s and that `fits(sentence, begin, end)`, left
// out of its sentence.
template <typename Member, typename Fits>
std::optional<Gap> first_gap(std::string_view text, const Member &member, const Fits &fits) {
  for (const std::string &sentence : sentences_of(text)) {
    for (std::size_t begin = 0, end = 0; begin < sentence.size(); begin = end) {
      end = begin + 1;
      if (!member(sentence[begin])) continue;
      while (end < sentence.size() && member(sentence[end])) ++end;
      if (!fits(sentence, begin, end)) continue;
      const std::string word = sentence.substr(begin, end - begin);
      return Gap{without(sentence, word), word};
    }
  }
  return std::nullopt;
}

// A whole number of two digits or more that the text has once: what the sentence says does not tell
// it.
std::optional<Gap> number_gap(std::string_view text) {
  return first_gap(text, is_digit, [&](std::string_view s, std::size_t begin, std::size_t end) {
    const auto joins = [](char c) { return c == '.' || c == ',' || c == '/'; };
    const bool inside = (begin > 0 && (is_letter(s[begin - 1]) || joins(s[begin - 1]))) ||
                        (end + 1 < s.size() && joins(s[end]) && is_digit(s[end + 1])) ||
                        (end < s.size() && is_letter(s[end]));
    return !inside && end - begin >= 2 && occurrences(text, s.substr(begin, end - begin)) == 1;
  });
}

bool is_calendar_word(std::string_view word) {
  static constexpr std::array<std::string_view, 19> kWords = {
      "Monday",  "Tuesday",   "Wednesday", "Thursday", "Friday",  "Saturday", "Sunday",
      "January", "February",  "March",     "April",    "May",     "June",     "July",
      "August",  "September", "October",   "November", "December"};
  return std::ranges::find(kWords, word) != kWords.end();
}

// A word with a capital in the midst of a sentence, behind another word: as good as always a name.
std::optional<Gap> name_gap(std::string_view text) {
  return first_gap(text, is_letter, [](std::string_view s, std::size_t begin, std::size_t end) {
    const std::string_view word = s.substr(begin, end - begin);
    const bool shape =
        word.size() >= 3 && is_upper(word[0]) && std::ranges::none_of(word.substr(1), is_upper);
    const bool follows_word =
        begin >= 2 && s[begin - 1] == ' ' && (is_letter(s[begin - 2]) || s[begin - 2] == ',');
    return shape && follows_word && !is_calendar_word(word);
  });
}

Question look_back(const Question &conversation, std::size_t turn, const char *kind) {
  Question question;
  question.id = fmt::format("{}?{}{}", conversation.id, kind, turn + 1);
  question.task = conversation.task;
  question.tier = conversation.tier;
  question.kind = kind;
  question.limit = kLimit;
  return question;
}

Question gap_question(const Question &conversation, std::size_t turn, const char *kind,
                      const Gap &gap, Grader grader) {
  Question question = look_back(conversation, turn, kind);
  question.text = fmt::format(
      "Look back at question {}. It had this sentence, with a {} left out: \"{}\" Which {} stood "
      "at "
      "{}? Do not work anything out; give that {} alone, within \\boxed{{}}.",
      turn + 1, kind, gap.sentence, kind, kGap, kind);
  question.expected = gap.word;
  question.grader = grader;
  return question;
}

}  // namespace

std::vector<Question> look_backs(const Question &conversation,
                                 const std::vector<std::string> &texts, std::uint64_t seed) {
  tasks::Rng random(seed);
  std::vector<std::size_t> early;
  for (std::size_t i = 0; i < (texts.size() + 1) / 2; ++i) early.push_back(i);
  std::vector<Question> found;
  const auto take = [&](const auto &question_for) {
    random.shuffle(early);
    int taken = 0;
    for (const std::size_t turn : early) {
      if (taken == kOfEachKind) return;
      if (std::optional<Question> question = question_for(turn)) {
        found.push_back(std::move(*question));
        ++taken;
      }
    }
  };
  take([&](std::size_t turn) -> std::optional<Question> {
    Question question = look_back(conversation, turn, "result");
    question.grader = conversation.turns.at(turn).grader;
    // Asked for "that answer" to a choice, a 1.5B model mostly gave no letter.
    const bool letter = question.grader == Grader::choice;
    question.text = fmt::format(
        "Look back at question {}. What final answer did you give to it? Do not solve it again; "
        "repeat {} alone, within \\boxed{{}}.",
        turn + 1, letter ? "the letter of that answer" : "that answer");
    question.repeats = static_cast<int>(turn);
    return question;
  });
  take([&](std::size_t turn) -> std::optional<Question> {
    const auto gap = number_gap(texts[turn]);
    if (!gap) return std::nullopt;
    return gap_question(conversation, turn, "number", *gap, Grader::number);
  });
  take([&](std::size_t turn) -> std::optional<Question> {
    const auto gap = name_gap(texts[turn]);
    if (!gap) return std::nullopt;
    return gap_question(conversation, turn, "name", *gap, Grader::text);
  });
  random.shuffle(found);
  return found;
}

}  // namespace vase::eval
