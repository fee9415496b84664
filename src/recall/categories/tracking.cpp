#include <fmt/format.h>

#include "recall/categories/categories.hpp"

namespace vase::recall {

Item make_tracking(const Draft &draft) {
  constexpr std::size_t kVariables = 3;
  Names &names = draft.names;
  Item item;
  const std::string number = names.number();
  for (const double place : places_from(draft.depth, kVariables)) {
    const std::string variable = names.variable();
    item.facts.push_back(
        {place, item.expected.empty()
                    ? fmt::format("The variable {} has the value {}.", variable, number)
                    : fmt::format("The variable {} has the same value as the variable {}.",
                                  variable, item.expected.back())});
    item.expected.push_back(variable);
  }
  item.question = fmt::format(
      "Which three variables have the value {}, directly or because they have the value of one "
      "that "
      "has it? Answer with the three names.",
      number);
  return item;
}

}  // namespace vase::recall
