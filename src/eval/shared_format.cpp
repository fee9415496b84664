#include "eval/shared_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "eval/answer.hpp"
#include "tasks/random.hpp"
#include "vase/llama.hpp"

namespace vase::eval {
namespace {

using nlohmann::json;

// A field as text; numbers as JSON writes them, but 27.0 as 27.
std::string text_of(const json &value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  if (value.is_number()) return fmt::format("{}", value.get<double>());
  throw Error(fmt::format("{} is neither a text nor a number", value.dump()));
}

std::optional<std::string> first_of(const json &object, std::initializer_list<const char *> names) {
  for (const char *name : names) {
    const auto field = object.find(name);
    if (field != object.end() && !field->is_null()) return text_of(*field);
  }
  return std::nullopt;
}

std::string trimmed(const std::string &text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// " (it has: a, b)"
std::string fields_of(const json &object) {
  std::string names;
  for (const auto &[name, value] : object.items()) names += (names.empty() ? "" : ", ") + name;
  return fmt::format("; it has {}", names.empty() ? "no fields" : names);
}

// ASDiv: "9 (apples)".
std::string without_unit(const std::string &answer) {
  const auto open = answer.ends_with(')') ? answer.rfind('(') : answer.npos;
  return open == answer.npos || open == 0 ? answer : trimmed(answer.substr(0, open));
}

std::string answer_of(const json &object) {
  const auto answer = first_of(object, {"answer", "expected_answer", "final_answer",
                                        "Correct Answer", "Answer", "target", "correct"});
  if (answer) {
    const auto mark = answer->rfind("####");  // GSM8K: the solution, then the answer
    if (mark != answer->npos) return trimmed(answer->substr(mark + 4));
    return object.contains("body") ? without_unit(trimmed(*answer)) : trimmed(*answer);
  }
  const auto solution = first_of(object, {"solution"});
  const auto boxed = solution ? last_boxed(*solution) : std::nullopt;
  if (boxed) return *boxed;
  throw Error(
      "there is no answer (looked for: answer, expected_answer, final_answer, Correct Answer, "
      "Answer, target, correct, and \\boxed{} in solution)" +
      fields_of(object));
}

// "A)5", "(B) 6", "C. 7": without the letter, if it is the choice's own.
std::string without_label(const std::string &choice, std::size_t index) {
  const std::string letter(1, static_cast<char>('A' + index));
  for (const std::string &label : {"(" + letter + ")", letter + ")", letter + ". "}) {
    if (choice.starts_with(label)) return trimmed(choice.substr(label.size()));
  }
  return choice;
}

std::vector<std::string> choices_of(const json &object) {
  std::vector<std::string> choices;
  for (const char *name : {"choices", "options"}) {
    const auto field = object.find(name);
    if (field == object.end()) continue;
    const json &list = field->is_object() && field->contains("text") ? field->at("text") : *field;
    if (!list.is_array() && !list.is_object()) {
      throw Error(fmt::format("{} is not a list", name));
    }
    for (const json &choice : list) {
      choices.push_back(without_label(trimmed(text_of(choice)), choices.size()));
    }
    return choices;
  }
  if (!object.contains("Incorrect Answer 1")) return {};
  choices.push_back(answer_of(object));
  for (const char *name : {"Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"}) {
    if (const auto wrong = first_of(object, {name})) choices.push_back(trimmed(*wrong));
  }
  return choices;
}

// Which choice is right: named by its text, its letter or its number from 0.
std::size_t right_choice(const std::string &answer, const std::vector<std::string> &choices,
                         const json &object) {
  const auto same = std::ranges::find(choices, answer);
  if (same != choices.end()) return static_cast<std::size_t>(same - choices.begin());
  std::size_t index = choices.size();
  if (answer.size() == 1 && answer[0] >= 'A' && answer[0] <= 'Z') {
    index = static_cast<std::size_t>(answer[0] - 'A');
  } else if (object.contains("answer") && object.at("answer").is_number_integer()) {
    index = object.at("answer").get<std::size_t>();
  }
  if (index < choices.size()) return index;
  throw Error(fmt::format("the answer \"{}\" is none of the {} choices", answer, choices.size()));
}

// Files whose answer is a letter or a number keep their order: "none of the above" comes last.
void add_choices(Question &question, const std::vector<std::string> &choices, std::size_t right,
                 bool shuffled) {
  std::vector<std::size_t> order(choices.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (shuffled) tasks::Rng(tasks::hash_text(question.text)).shuffle(order);
  question.text += "\n";
  for (std::size_t i = 0; i < order.size(); ++i) {
    const char letter = static_cast<char>('A' + i);
    question.text += fmt::format("\n{}. {}", letter, choices[order[i]]);
    if (order[i] == right) question.expected = std::string(1, letter);
  }
}

// The choices stand in the question: "(A) ..." and the answer is "(A)" (BIG-Bench-Hard), or "1.
// ..." and the answer is "1" (lineage).
void find_written_choices(Question &question) {
  const std::string &answer = question.expected;
  const auto has = [&](const std::string &what) {
    return question.text.find(what) != question.text.npos;
  };
  const bool letter = answer.size() == 3 && answer[0] == '(' && answer[2] == ')' &&
                      answer[1] >= 'A' && answer[1] <= 'Z' && has("\n" + answer);
  const bool number = answer.size() == 1 && answer[0] >= '1' && answer[0] <= '9' &&
                      has("elect the correct answer") && has("\n1. ") && has("\n" + answer + ". ");
  if (letter) question.expected = answer.substr(1, 1);
  if (letter || number) question.grader = Grader::choice;
}

}  // namespace

bool is_mathematics(const json &object) {
  return object.contains("problem") || object.contains("Problem");
}

Question read_shared(const json &object, const std::string &task) {
  Question question;
  question.task = task;
  question.id = first_of(object, {"id", "unique_id", "Record ID", "problem_id"}).value_or("");
  const auto text =
      first_of(object, {"problem", "question", "Question", "Problem", "prompt", "query", "input"});
  if (!text) {
    throw Error(
        "there is no question (looked for: problem, question, Question, Problem, prompt, query, "
        "input, and quiz of knights and knaves)" +
        fields_of(object));
  }
  question.text = trimmed(*text);
  if (const auto body = first_of(object, {"body"})) {  // ASDiv
    question.text = trimmed(*body) + " " + question.text;
  }
  question.expected = answer_of(object);
  question.grader = Grader::latex;
  const std::vector<std::string> choices = choices_of(object);
  if (choices.empty()) {
    find_written_choices(question);
    return question;
  }
  if (choices.size() < 2 || choices.size() > 26) {
    throw Error(fmt::format("{} choices: there must be 2 to 26", choices.size()));
  }
  question.grader = Grader::choice;
  const bool by_text = std::ranges::find(choices, question.expected) != choices.end();
  add_choices(question, choices, right_choice(question.expected, choices, object), by_text);
  return question;
}

std::string instruction_for(Grader grader) {
  switch (grader) {
    case Grader::reasoner:
      return {};
    case Grader::choice:
      return "\n\nThink step by step, and put the letter of your final answer within \\boxed{}.";
    case Grader::assignment:
      return "\n\nThink step by step, and put all of your final answer within one \\boxed{}.";
    case Grader::number:
    case Grader::latex:
    case Grader::text:
    case Grader::exact:
    case Grader::equation:
      break;
  }
  return "\n\nThink step by step, and put your final answer within \\boxed{}.";
}

bool is_number(const std::string &text) {
  const bool one = trimmed(text).find_first_of(" \n\t") == text.npos;  // a grid of digits is none
  return one && parse_number(text).has_value();
}

}  // namespace vase::eval
