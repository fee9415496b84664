#include <fmt/format.h>

#include "recall/categories/categories.hpp"

namespace vase::recall {

Item make_values(const Draft &draft) {
  const std::string person = draft.names.first_name() + " " + draft.names.last_name();
  Item item;
  for (const double place : places_from(draft.depth, 3)) {
    item.expected.push_back(draft.names.number());
    item.facts.push_back({place, fmt::format("One of the lucky numbers of {} is {}.", person,
                                             item.expected.back())});
  }
  item.question =
      fmt::format("What are the three lucky numbers of {}? Answer with all three numbers.", person);
  return item;
}

}  // namespace vase::recall
