// How many of some numbers stand out from the others.
#ifndef VASE_SCORE_OUTLIERS_HPP
#define VASE_SCORE_OUTLIERS_HPP

#include <cstdint>
#include <span>

namespace vase {

/// How many of x lie above m + 3 s, with m their median and s = 1.4826 times the median of |x - m|
/// (Hampel's test: unlike a mean and a standard deviation, neither follows the outliers until they
/// are half of all). NaN counts as the lowest. Uses x as scratch.
int32_t count_outliers(std::span<float> x);

}  // namespace vase

#endif
