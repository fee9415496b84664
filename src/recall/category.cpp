#include "recall/category.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "recall/categories/categories.hpp"
#include "vase/llama.hpp"

namespace vase::recall {

const std::vector<Category> &categories() {
  static const std::vector<Category> all = {
      {"needle", "one number of one thing, asked for in the same words", false, make_needle},
      {"paraphrase", "one number, asked for in other words", false, make_paraphrase},
      {"decoys", "one number among numbers of things of nearly the same name", false, make_decoys},
      {"values", "all three values that one key was given at three places", false, make_values},
      {"tracking", "a value that was passed on from variable to variable", false, make_tracking},
      {"common", "the two words that were said most often", true, make_common},
      {"frequent", "the most frequent of coined words whose counts fall off", true, make_frequent},
      {"join", "a number that takes facts from two places", false, make_join},
  };
  return all;
}

const Category &find_category(const std::string &name) {
  const auto found =
      std::ranges::find_if(categories(), [&](const Category &c) { return c.name == name; });
  if (found != categories().end()) return *found;
  std::vector<std::string> names;
  for (const Category &category : categories()) names.emplace_back(category.name);
  throw Error(
      fmt::format("there is no category \"{}\"; there are: {}", name, fmt::join(names, ", ")));
}

std::vector<double> places_from(double first, std::size_t count) {
  std::vector<double> places;
  for (std::size_t i = 0; i < count; ++i) {
    places.push_back(first + (1 - first) * static_cast<double>(i) / static_cast<double>(count));
  }
  return places;
}

}  // namespace vase::recall
