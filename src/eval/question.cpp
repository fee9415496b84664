#include "eval/question.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "vase/llama.hpp"

namespace vase::eval {
namespace {

constexpr std::array<std::pair<Grader, const char *>, 4> kGraders = {
    {{Grader::reasoner, "reasoner"},
     {Grader::number, "number"},
     {Grader::latex, "latex"},
     {Grader::choice, "choice"}}};

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
  throw Error(fmt::format("unknown grader \"{}\": reasoner, number, latex or choice", name));
}

std::string group_of(const std::string &task, const std::string &tier) {
  return tier.empty() ? task : task + "/" + tier;
}

}  // namespace vase::eval
