#include "eval/question_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "eval/assignment.hpp"
#include "eval/equation.hpp"

namespace vase::eval {
namespace {

using Terms = std::vector<std::string>;

// Joins two terms in all ways until one is left that solves the task.
std::string search(const Terms &terms, const EquationTask &task) {
  for (const std::string &term : terms) {
    if ((!task.all || terms.size() == 1) && solves(term, task)) return term;
  }
  for (std::size_t i = 0; i < terms.size(); ++i) {
    for (std::size_t j = 0; j < terms.size(); ++j) {
      if (i == j) continue;
      for (const char sign : {'+', '-', '*', '/'}) {
        if (i > j && (sign == '+' || sign == '*')) continue;
        Terms rest;
        for (std::size_t k = 0; k < terms.size(); ++k) {
          if (k != i && k != j) rest.push_back(terms[k]);
        }
        rest.push_back(fmt::format("({} {} {})", terms[i], sign, terms[j]));
        if (!evaluate(rest.back())) continue;
        if (std::string found = search(rest, task); !found.empty()) return found;
      }
    }
  }
  return {};
}

std::string solution_of(const std::string &expected) {
  const auto task = parse_equation_task(expected);
  if (!task) return {};
  Terms terms;
  for (const std::int64_t number : task->numbers) terms.push_back(std::to_string(number));
  return search(terms, *task);
}

std::string in_words(const Assignment &assignment) {
  std::string words;
  for (const auto &[name, value] : assignment.values) {
    if (!words.empty()) words += assignment.roles.empty() ? "\n" : ", ";
    words += assignment.roles.empty() ? fmt::format("{}: [{}]", name, value)
                                      : fmt::format("{} is a {}", name, value);
  }
  return words;
}

std::string right_answer(const Question &question) {
  if (question.grader == Grader::equation) return solution_of(question.expected);
  if (question.grader == Grader::assignment) return in_words(parse_assignment(question.expected));
  return question.expected;
}

}  // namespace

std::vector<CheckedQuestions> check_questions(const std::vector<Question> &questions,
                                              GradingDesk &desk) {
  std::vector<CheckedQuestions> groups;
  for (const Question &question : questions) {
    auto group = std::ranges::find_if(groups, [&](const CheckedQuestions &g) {
      return g.task == question.task && g.grader == question.grader;
    });
    if (group == groups.end()) {
      groups.push_back({.task = question.task, .grader = question.grader});
      group = groups.end() - 1;
    }
    ++group->questions;
    const std::string thought = question.grader == Grader::reasoner ? "<think></think>" : "";
    const std::string right = right_answer(question);
    const Grade boxed = desk.grade(question, thought + "So it is \\boxed{" + right + "}.");
    const Grade said = desk.grade(question, "Let me see.\nThe answer is " + right + ".");
    group->boxed_right += boxed.correct ? 1 : 0;
    group->said_right += said.correct ? 1 : 0;
    if (boxed.correct) continue;
    group->wrong.push_back(fmt::format("{}: expected \"{}\", read \"{}\"", question.id,
                                       question.expected, boxed.answer.value_or("")));
  }
  return groups;
}

}  // namespace vase::eval
