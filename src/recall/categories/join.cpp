#include <fmt/format.h>

#include "recall/categories/categories.hpp"

namespace vase::recall {

Item make_join(const Draft &draft) {
  Names &names = draft.names;
  const std::string town = names.town();
  const std::string person = names.first_name() + " " + names.last_name();
  const std::string number = names.number();
  const std::vector<double> places = places_from(draft.depth, 2);
  return {.facts = {{places[0],
                     fmt::format("The key to the church of {} is kept by {}.", town, person)},
                    {places[1], fmt::format("{} lives in house number {}.", person, number)}},
          .question = fmt::format("What is the house number of the person who keeps the key to the "
                                  "church of {}? Answer with the number only.",
                                  town),
          .expected = {number}};
}

}  // namespace vase::recall
