// Words that are said different numbers of times, all over a text.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "recall/item.hpp"
#include "recall/names.hpp"

namespace vase::recall {

/// How often the most frequent word of a tally is said in a text of `length` tokens: the text's
/// length over 512, from 6 to 24 times.
inline int often_in(std::int64_t length) {
  return static_cast<int>(std::clamp<std::int64_t>(length / 512, 6, 24));
}

/// The facts say words[i] counts[i] times, each in a sentence of `say`, at places drawn from the
/// whole text.
template <typename Say>
Item tally(Names &names, const std::vector<std::string> &words, const std::vector<int> &counts,
           const Say &say) {
  Item item;
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (int j = 0; j < counts[i]; ++j) item.facts.push_back({names.place(), say(words[i])});
  }
  return item;
}

}  // namespace vase::recall
