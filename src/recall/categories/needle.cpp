#include <fmt/format.h>

#include "recall/categories/categories.hpp"

namespace vase::recall {

Item make_needle(const Draft &draft) {
  const std::string town = draft.names.town();
  const std::string number = draft.names.number();
  return {
      .facts = {{draft.depth, fmt::format("The secret code of {} is {}.", town, number)}},
      .question = fmt::format("What is the secret code of {}? Answer with the number only.", town),
      .expected = {number}};
}

}  // namespace vase::recall
