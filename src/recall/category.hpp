// What can be asked: the kinds of RULER (arXiv 2404.06654), with sentences of our own.
#pragma once

#include <string>
#include <vector>

#include "recall/item.hpp"
#include "recall/names.hpp"

namespace vase::recall {

/// What a category makes an item from.
struct Draft {
  Names &names;             ///< of the text, which gives no name twice
  double depth = 0;         ///< of the first fact
  std::int64_t length = 0;  ///< tokens of the text
};

struct Category {
  const char *name;
  const char *summary;  ///< one line
  bool spread;          ///< its facts are all over the text, so that it has no depth
  /// Facts, question, and what is expected; all of it follows from the facts alone.
  Item (*make)(const Draft &draft);
};

/// All of them, in the order of the tables.
const std::vector<Category> &categories();

/// Throws Error, with the list, if there is none of that name.
const Category &find_category(const std::string &name);

/// `count` places from `first` to the end of the text, equally far apart: the last one is at
/// 1 - (1 - first) / count.
std::vector<double> places_from(double first, std::size_t count);

}  // namespace vase::recall
