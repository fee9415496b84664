#include "score/wide_values.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/width_rule.hpp"

namespace vase {
namespace {

/// The median by `precedes`; reorders x.
template <typename Precedes>
float median(std::span<float> x, const Precedes& precedes) {
  const auto middle = x.begin() + median_place(static_cast<int32_t>(x.size()));
  std::nth_element(x.begin(), middle, x.end(), precedes);
  return *middle;
}

void replace_nan(std::span<float> x, float by) {
  std::replace_if(
      x.begin(), x.end(), [](float v) { return std::isnan(v); }, by);
}

}  // namespace

int32_t count_wide(std::span<float> x) {
  if (x.empty()) return 0;
  replace_nan(x, -std::numeric_limits<float>::infinity());
  const float centre = median(x, std::less<>());
  for (float& v : x) v -= centre;
  replace_nan(x, -std::numeric_limits<float>::infinity());
  const float deviation =
      std::abs(median(x, [](float a, float b) { return std::abs(a) < std::abs(b); }));
  return static_cast<int32_t>(
      std::count_if(x.begin(), x.end(), [=](float above) { return is_wide(above, deviation); }));
}

}  // namespace vase
