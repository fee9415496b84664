#include "llama/selection/choice.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace vase {

std::vector<int32_t> largest(std::span<const float> scores, int32_t count) {
  if (count >= std::ssize(scores)) {
    std::vector<int32_t> all(scores.size());
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  std::vector<int32_t> places;
  if (count <= 0) return places;
  const auto of = [](float score) {
    return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
  };
  std::vector<float> sorted(scores.size());
  std::ranges::transform(scores, sorted.begin(), of);
  const auto last = sorted.begin() + count - 1;
  std::nth_element(sorted.begin(), last, sorted.end(), std::greater());
  const float least = *last;
  auto equal_ones = count - std::count_if(sorted.begin(), last, [&](float s) { return s > least; });
  places.reserve(static_cast<size_t>(count));
  for (int32_t i = 0; i < std::ssize(scores); ++i) {
    const float score = of(scores[static_cast<size_t>(i)]);
    if (score > least || (score == least && equal_ones-- > 0)) places.push_back(i);
  }
  return places;
}

}  // namespace vase
