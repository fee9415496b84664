// One function for each category: see category.hpp.
#pragma once

#include "recall/category.hpp"

namespace vase::recall {

Item make_needle(const Draft &draft);
Item make_paraphrase(const Draft &draft);
Item make_decoys(const Draft &draft);
Item make_values(const Draft &draft);
Item make_tracking(const Draft &draft);
Item make_common(const Draft &draft);
Item make_frequent(const Draft &draft);
Item make_join(const Draft &draft);

}  // namespace vase::recall
