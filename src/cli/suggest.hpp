// "Did you mean ...?"
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vase::cli {

/// The candidate nearest to `word` by edit distance; "" if none is near enough to be a slip of the
/// finger.
std::string nearest(std::string_view word, const std::vector<std::string> &candidates);

/// All candidates: first those that contain `word`, then the others by edit distance.
std::vector<std::string> by_nearness(std::string_view word, std::vector<std::string> candidates);

}  // namespace vase::cli
