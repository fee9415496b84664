// Exact rules: no model judges, and nothing near counts.
#pragma once

#include <string>

#include "recall/item.hpp"

namespace vase::recall {

struct Grade {
  bool right = false;   ///< all that is expected, and nothing wrong
  double fraction = 0;  ///< of what is expected, what the answer has
};

/// An answer has a value if it stands there as a word or number of its own, upper or lower case;
/// "48,213" is 48213.
Grade grade(const Item &item, const std::string &answer);

}  // namespace vase::recall
