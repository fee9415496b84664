#include "eval/grading.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "eval/answer.hpp"
#include "eval/assignment.hpp"
#include "eval/equation.hpp"
#include "eval/exact_text.hpp"
#include "eval/thought.hpp"
#include "tasks/grade.hpp"
#include "vase/llama.hpp"

namespace vase::eval {
namespace {

constexpr const char *kReady = "ready";

// Bytes of a reply that are looked at for an expression, from its end. What loops is longer.
constexpr std::size_t kLongest = 16384;

Grade compare(std::optional<std::string> answer, const std::optional<std::string> &expected) {
  const bool correct = answer && answer == expected;
  return {.correct = correct, .answer = std::move(answer)};
}

// The expected words, or a sentence that has them: a model that is asked for a name may well quote
// where it stood. Not more than a sentence, so that a list of guesses is no answer.
Grade compare_words(std::optional<std::string> answer, const std::optional<std::string> &expected) {
  constexpr std::ptrdiff_t kMostSpaces = 24;
  const bool correct = answer && expected && std::ranges::count(*answer, ' ') <= kMostSpaces &&
                       (" " + *answer + " ").find(" " + *expected + " ") != std::string::npos;
  return {.correct = correct, .answer = std::move(answer)};
}

// Some files write a third as 0.3333333333: there what is rounded to two decimals or more, or is
// the fraction itself, is right too.
bool is_rounded(double said, int decimals, const std::string &expected) {
  const auto point = expected.find('.');
  if (point == expected.npos || expected.size() - point < 7 || decimals < 2) return false;
  const double off = std::abs(said - std::strtod(expected.c_str(), nullptr));
  return off <= 0.5000001 * std::pow(10.0, -std::min(decimals, 9));
}

Grade grade_number(const std::string &reply, const std::string &expected) {
  const std::optional<std::string> wanted = parse_number(expected);
  std::optional<std::string> said = number_in(reply);
  if (said && wanted && said != wanted) {
    const auto point = said->find('.');
    const auto decimals = point == said->npos ? 0 : static_cast<int>(said->size() - point - 1);
    const bool right = is_rounded(std::strtod(said->c_str(), nullptr), decimals, *wanted);
    return {.correct = right, .answer = said};
  }
  const auto boxed = said ? std::nullopt : last_boxed(after_thinking(reply));
  const auto fraction = boxed ? evaluate(*boxed) : std::nullopt;
  if (!fraction || !wanted) return compare(std::move(said), wanted);
  const double value = static_cast<double>(fraction->value.numerator) /
                       static_cast<double>(fraction->value.denominator);
  const bool right =
      is_rounded(value, 9, *wanted) || value == std::strtod(wanted->c_str(), nullptr);
  return {.correct = right, .answer = boxed};
}

Grade grade_equation(const std::string &reply, const std::string &expected) {
  const auto task = parse_equation_task(expected);
  std::optional<std::string> equation = equation_in(reply);
  const bool right = task && equation && solves(*equation, *task);
  return {.correct = right, .answer = std::move(equation)};
}

}  // namespace

MathVerify::MathVerify(const std::filesystem::path &script, std::chrono::seconds patience)
    : script_(script), patience_(patience) {
  start();
}

void MathVerify::start() {
  process_.reset();
  process_ =
      std::make_unique<ChildProcess>(std::vector<std::string>{python_program(), script_.string()});
  std::string line;
  if (process_->read_line(line) && line == kReady) return;
  throw Error(fmt::format(
      "answers in LaTeX are compared by the Python package math-verify, and {} cannot load it: "
      "`{} -m pip install math-verify`, or name another Python with VASE_PYTHON",
      python_program(), python_program()));
}

Grade MathVerify::grade(const std::string &expected, std::string_view reply) {
  if (reply.size() > kLongest) reply.remove_prefix(reply.size() - kLongest);
  const nlohmann::json question = {{"expected", expected}, {"reply", std::string(reply)}};
  const std::lock_guard lock(mutex_);
  std::string line;
  const bool answered =
      process_->write(question.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
                      "\n") &&
      process_->read_line(line, patience_);
  if (!answered) {  // this answer is too much for it; others need not be
    process_->kill();
    start();
    ++given_up_;
    return {};
  }
  const nlohmann::json grade = nlohmann::json::parse(line);
  Grade result{.correct = grade.at("correct")};
  if (!grade.at("answer").is_null()) result.answer = grade.at("answer").get<std::string>();
  return result;
}

bool GradingDesk::needs_script(const std::vector<Question> &questions) {
  return std::ranges::any_of(questions, [](const Question &question) {
    return std::ranges::any_of(items_of(question),
                               [](const Question *item) { return item->grader == Grader::latex; });
  });
}

GradingDesk::GradingDesk(const std::vector<Question> &questions,
                         const std::filesystem::path &script) {
  if (needs_script(questions)) math_ = std::make_unique<MathVerify>(script);
}

Grade GradingDesk::grade(const Question &question, const std::string &reply) {
  switch (question.grader) {
    case Grader::reasoner:
      return compare(tasks::final_answer(reply), question.expected);
    case Grader::number:
      return grade_number(reply, question.expected);
    case Grader::exact:
      return compare(text_in(reply, question.expected), question.expected);
    case Grader::assignment:
      return compare(assignment_in(reply, question.expected), question.expected);
    case Grader::equation:
      return grade_equation(reply, question.expected);
    case Grader::choice:
      return compare(choice_in(reply), question.expected);
    case Grader::text:
      return compare_words(words_in(reply), words_in(question.expected));
    case Grader::latex:
      break;
  }
  const std::string_view said = after_thinking(reply);
  return said.empty() ? Grade{} : math_->grade(question.expected, said);
}

}  // namespace vase::eval
