#include "eval/question.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "vase/llama.hpp"

namespace vase::eval {
namespace {

constexpr std::array<std::pair<Grader, const char *>, 8> kGraders = {
    {{Grader::reasoner, "reasoner"},
     {Grader::number, "number"},
     {Grader::latex, "latex"},
     {Grader::choice, "choice"},
     {Grader::text, "text"},
     {Grader::exact, "exact"},
     {Grader::assignment, "assignment"},
     {Grader::equation, "equation"}}};

}  // namespace

const char *name_of(Grader grader) {
  for (const auto &[known, name] : kGraders) {
    if (known == grader) return name;
  }
  return "";
}

Grader grader_from_name(const std::string &name) {
  for (const auto &[grader, known] : kGraders) {
    if (name == known) return grader;
  }
  throw Error(fmt::format(
      "unknown grader \"{}\": reasoner, number, latex, choice, text, exact, assignment or equation",
      name));
}

std::span<const Question> turns_of(const Question &question) {
  return question.turns.empty() ? std::span(&question, 1) : std::span(question.turns);
}

std::vector<const Question *> items_of(const Question &question) {
  std::vector<const Question *> items;
  for (const Question &turn : turns_of(question)) {
    if (turn.packed.empty()) items.push_back(&turn);
    for (const Question &part : turn.packed) items.push_back(&part);
  }
  return items;
}

std::string group_of(const std::string &task, const std::string &tier) {
  return tier.empty() ? task : task + "/" + tier;
}

}  // namespace vase::eval
