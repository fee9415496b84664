// How many of some numbers are not clearly lower than the others.
#ifndef VASE_SCORE_WIDE_VALUES_HPP
#define VASE_SCORE_WIDE_VALUES_HPP

#include <cstdint>
#include <span>

namespace vase {

/// How many of x lie above m - s / 2, with m their median and s = 1.4826 times the median of
/// |x - m|, which a few extreme numbers do not move as they move a mean and a standard deviation.
/// NaN counts as the lowest. Uses x as scratch.
int32_t count_wide(std::span<float> x);

}  // namespace vase

#endif
