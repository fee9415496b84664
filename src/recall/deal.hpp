// Which items stand in which text.
#pragma once

#include <cstdint>
#include <vector>

#include "recall/category.hpp"
#include "recall/prompt.hpp"
#include "recall/source.hpp"
#include "recall/text.hpp"

namespace vase::recall {

struct Deal {
  std::vector<const Category *> categories = {};
  std::vector<double> depths = {};  ///< from 0 to below 1
  int items = 1;                    ///< of each category and depth, at each length
  std::int64_t after = 0;           ///< tokens to read on before it is asked again
  std::uint64_t seed = 1;
};

/// As many texts of `length` tokens as all items take. A text holds facts up to an eighth of its
/// length (or one item), and one item of each category and depth at most. Sources take turns. The
/// same for every policy: it depends on the deal, the model's tokens and the sources alone.
/// Throws Error if a source is too short or the length takes no facts.
std::vector<Text> make_texts(std::int64_t length, const Deal &deal,
                             const std::vector<Source> &sources, const Prompt &prompt,
                             const engine::Model &model);

}  // namespace vase::recall
