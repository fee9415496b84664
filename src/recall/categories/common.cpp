#include <fmt/format.h>

#include "recall/categories/categories.hpp"
#include "recall/categories/tally.hpp"

namespace vase::recall {

Item make_common(const Draft &draft) {
  const std::string town = draft.names.town();
  const std::vector<std::string> goods = draft.names.goods(8);
  const int often = often_in(draft.length);
  Item item = tally(draft.names, goods, {often, often, 1, 1, 1, 1, 1, 1}, [&](const auto &what) {
    return fmt::format("At the market of {} somebody bought {}.", town, what);
  });
  item.question = fmt::format(
      "Which two things were bought most often at the market of {}? Answer with the two words.",
      town);
  item.expected = {goods[0], goods[1]};
  item.wrong.assign(goods.begin() + 2, goods.end());
  return item;
}

}  // namespace vase::recall
