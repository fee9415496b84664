#include <fmt/format.h>

#include "recall/categories/categories.hpp"
#include "recall/categories/tally.hpp"

namespace vase::recall {

Item make_frequent(const Draft &draft) {
  const std::string person = draft.names.first_name() + " " + draft.names.last_name();
  std::vector<std::string> words;
  for (int i = 0; i < 6; ++i) words.push_back(draft.names.coined());
  const int often = often_in(draft.length);
  Item item = tally(draft.names, words, {often, often / 2, often / 4, 1, 1, 1},
                    [&](const auto &word) { return fmt::format("{} cried: {}!", person, word); });
  item.question =
      fmt::format("Which word did {} cry most often? Answer with that one word.", person);
  item.expected = {words[0]};
  item.wrong.assign(words.begin() + 1, words.end());
  return item;
}

}  // namespace vase::recall
