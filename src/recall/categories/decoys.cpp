#include <fmt/format.h>

#include "recall/categories/categories.hpp"

namespace vase::recall {

// Decoys share the first name, the last name or the person.
Item make_decoys(const Draft &draft) {
  Names &names = draft.names;
  const std::string first = names.first_name();
  const std::string last = names.last_name();
  std::string other = names.first_name();
  while (other == first) other = names.first_name();
  const auto locker = [](const std::string &person, const std::string &number) {
    return fmt::format("The locker of {} has the number {}.", person, number);
  };
  Item item;
  const std::string number = names.number();
  item.expected = {number};
  for (int i = 0; i < 3; ++i) item.wrong.push_back(names.number());
  item.facts = {{draft.depth, locker(first + " " + last, number)},
                {names.place(), locker(first + " " + names.last_name(), item.wrong[0])},
                {names.place(), locker(other + " " + last, item.wrong[1])},
                {names.place(), fmt::format("The bicycle of {} {} has the number {}.", first, last,
                                            item.wrong[2])}};
  item.question = fmt::format("Which number has the locker of {} {}? Answer with the number only.",
                              first, last);
  return item;
}

}  // namespace vase::recall
