#include "eval/puzzle_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "eval/assignment.hpp"
#include "eval/equation.hpp"
#include "vase/llama.hpp"

namespace vase::eval {
namespace {

using nlohmann::json;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::vector<std::int64_t> numbers_in(std::string_view text) {
  std::vector<std::int64_t> numbers;
  for (std::size_t i = 0; i < text.size();) {
    if (!is_digit(text[i])) {
      ++i;
      continue;
    }
    std::int64_t number = 0;
    for (; i < text.size() && is_digit(text[i]) && number < INT64_MAX / 100; ++i) {
      number = 10 * number + (text[i] - '0');
    }
    numbers.push_back(number);
  }
  return numbers;
}

std::string between(std::string_view text, std::string_view open, std::string_view close) {
  const auto at = text.find(open);
  if (at == text.npos) return {};
  const auto begin = at + open.size();
  return std::string(text.substr(begin, text.find(close, begin) - begin));
}

Question knights(const json &object) {
  const auto names = object.at("names").get<std::vector<std::string>>();
  const auto truths = object.at("solution").get<std::vector<bool>>();
  if (names.size() != truths.size()) throw Error("names and solution are not of one length");
  std::string knight = "knight", knave = "knave";
  if (object.contains("knight_knave")) {
    knight = object.at("knight_knave").value("knight", knight);
    knave = object.at("knight_knave").value("knave", knave);
  }
  Assignment wanted{.roles = {knight, knave}, .values = {}};
  for (std::size_t i = 0; i < names.size(); ++i) {
    wanted.values.emplace_back(names[i], truths[i] ? knight : knave);
  }
  Question question;
  question.text = object.at("quiz").get<std::string>();
  question.expected = text_of(wanted);
  question.grader = Grader::assignment;
  return question;
}

// "Mason is an altruist, and Jack is an egoist.", and in the question "So who is an altruist and
// who is an egoist?".
std::optional<Question> named_knights(const json &object) {
  Question question;
  question.text = object.at("question").get<std::string>();
  const std::string asked = between(question.text, "So who is a", "?");
  const auto last_word = [](std::string text) { return text.substr(text.rfind(' ') + 1); };
  const auto middle = asked.find(" and who is a");
  if (middle == asked.npos) return std::nullopt;
  Assignment wanted{.roles = {last_word(asked.substr(0, middle)), last_word(asked)}, .values = {}};
  std::string answer = object.at("answer").get<std::string>();
  for (std::size_t at = 0; (at = answer.find(" is a", at)) != answer.npos; at += 5) {
    const auto name = answer.find_last_of(" ", at - 1);
    const std::string who = answer.substr(name == answer.npos ? 0 : name + 1,
                                          at - (name == answer.npos ? 0 : name + 1));
    const auto role = answer.find(' ', at + 4) + 1;
    const auto end = answer.find_first_of(",. ", role);
    wanted.values.emplace_back(who, answer.substr(role, end - role));
  }
  if (wanted.values.empty()) return std::nullopt;
  question.expected = text_of(wanted);
  question.grader = Grader::assignment;
  return question;
}

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  for (char &c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

bool wants_all(std::string_view text) {
  const std::string lower = in_lower_case(text);
  return lower.find("using all") != lower.npos || lower.find("every single") != lower.npos;
}

Question equation(std::string text, EquationTask task) {
  Question question;
  question.text = std::move(text);
  question.expected = text_of(task);
  question.grader = Grader::equation;
  return question;
}

// reasoning-gym's "Calculate 237 using all of these numbers: 95, 98.", "Using all the numbers 95,
// 98, create an expression that equals 237." and "Make 24 using 5, 5, 10, 4.", whose own scorer
// wants all four although the question does not say so.
std::optional<Question> named_equation(const json &object, bool all) {
  constexpr std::string_view kUsing = "using ";
  const std::string text = object.at("question").get<std::string>();
  const std::string first = in_lower_case(text.substr(0, text.find('\n')));
  const auto at = first.find(kUsing);
  if (at == first.npos) return std::nullopt;
  const std::string given = between(first, kUsing, at == 0 ? ", create" : ".");
  const auto numbers = numbers_in(given);
  const auto target =
      numbers_in(at == 0 ? first.substr(kUsing.size() + given.size()) : first.substr(0, at));
  if (target.size() != 1 || numbers.empty()) return std::nullopt;
  return equation(text, {.target = target[0], .numbers = numbers, .all = all || wants_all(text)});
}

std::string listed(const json &numbers) {
  std::string text;
  for (const json &number : numbers) {
    text += (text.empty() ? "" : " ") + std::to_string(number.get<std::int64_t>());
  }
  return text;
}

Question search_state(const json &object) {
  std::string edges;
  for (const json &edge : object.at("graph").at("edges")) {
    edges += fmt::format("{}{}-{}", edges.empty() ? "" : ", ", edge.at(0).get<std::int64_t>(),
                         edge.at(1).get<std::int64_t>());
  }
  const json &state = object.at("answer");
  Question question;
  question.text = fmt::format(
      "An undirected graph has these edges: {}.\n\nA depth-first search starts at node {}, with "
      "this node alone on its stack and visited. Each step does one of two things. If the node on "
      "top of the stack has neighbors that were not visited yet, the smallest of them is visited "
      "and put on the stack. Else the top of the stack is taken off, and the search is back at the "
      "node below. The current node is the one on top of the stack.\n\nWhat is the state after {} "
      "steps? Answer with three lines: current_node: the node; stack: the list from bottom to top; "
      "visited_nodes: the list of all visited nodes in ascending order.",
      edges, object.at("start_node").get<std::int64_t>(), object.at("steps").get<std::int64_t>());
  question.expected = text_of(Assignment{
      .roles = {},
      .values = {{"current_node", std::to_string(state.at("current_node").get<std::int64_t>())},
                 {"stack", listed(state.at("stack"))},
                 {"visited_nodes", listed(state.at("visited_nodes"))}}});
  question.grader = Grader::assignment;
  return question;
}

bool has(const json &object, std::initializer_list<const char *> names) {
  return std::ranges::all_of(names, [&](const char *name) { return object.contains(name); });
}

std::optional<Question> find_puzzle(const json &object) {
  if (has(object, {"quiz", "names", "solution"})) return knights(object);
  if (has(object, {"graph", "start_node", "steps", "answer"})) return search_state(object);
  if (has(object, {"question", "nums", "answer"})) {
    const json &nums = object.at("nums"), &target = object.at("answer");
    const auto wanted = numbers_in(target.is_string() ? target.get<std::string>() : target.dump());
    if (wanted.size() != 1) throw Error("answer is not one whole number, the target");
    const std::string text = object.at("question").get<std::string>();
    return equation(
        text, {.target = wanted[0],
               .numbers = numbers_in(nums.is_string() ? nums.get<std::string>() : nums.dump()),
               .all = wants_all(text)});
  }
  const std::string kind = object.contains("task") && object.at("task").is_string()
                               ? object.at("task").get<std::string>()
                               : "";
  if (!has(object, {"question", "answer"})) return std::nullopt;
  if (kind == "countdown" || kind == "puzzle24") return named_equation(object, kind == "puzzle24");
  if (kind == "knights_knaves") return named_knights(object);
  return std::nullopt;
}

}  // namespace

std::optional<Question> read_puzzle(const json &object, const std::string &task) {
  std::optional<Question> question = find_puzzle(object);
  if (question) question->task = task;
  return question;
}

bool has_many_answers(const json &object) {
  if (!has(object, {"task", "category"}) || !object.at("task").is_string()) return false;
  const std::string kind = object.at("task").get<std::string>();
  return kind == "word_ladder" || kind == "tower_of_hanoi" || kind == "shortest_path" ||
         kind == "propositional_logic";
}

}  // namespace vase::eval
