// The largest of many numbers.
#ifndef VASE_LLAMA_SELECTION_CHOICE_HPP
#define VASE_LLAMA_SELECTION_CHOICE_HPP

#include <cstdint>
#include <span>
#include <vector>

namespace vase {

/// The places of the `count` largest of `scores`, ascending; of equal ones the first. NaN is less
/// than all. All places if `count` is no less than there are.
std::vector<int32_t> largest(std::span<const float> scores, int32_t count);

}  // namespace vase

#endif
