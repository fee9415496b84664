#include <fmt/format.h>

#include "recall/categories/categories.hpp"

namespace vase::recall {
namespace {

constexpr std::size_t kVariables = 3;

// Adds a chain that begins with `number`; returns its variables.
std::vector<std::string> add_chain(Names &names, const std::string &number,
                                   const std::vector<double> &places, std::vector<Fact> &facts) {
  std::vector<std::string> variables;
  for (const double place : places) {
    const std::string variable = names.variable();
    facts.push_back(
        {place, variables.empty()
                    ? fmt::format("The variable {} has the value {}.", variable, number)
                    : fmt::format("The variable {} has the same value as the variable {}.",
                                  variable, variables.back())});
    variables.push_back(variable);
  }
  return variables;
}

}  // namespace

// A second chain, or every variable of the text would be an answer.
Item make_tracking(const Draft &draft) {
  Names &names = draft.names;
  Item item;
  const std::string number = names.number();
  item.expected = add_chain(names, number, places_from(draft.depth, kVariables), item.facts);
  item.wrong = add_chain(names, names.number(), places_from(names.place(), kVariables), item.facts);
  item.question = fmt::format(
      "Which three variables have the value {}, directly or because they have the value of one "
      "that "
      "has it? Answer with the three names.",
      number);
  return item;
}

}  // namespace vase::recall
