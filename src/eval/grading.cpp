#include "eval/grading.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "eval/answer.hpp"
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
      return compare(number_in(reply), parse_number(question.expected));
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
