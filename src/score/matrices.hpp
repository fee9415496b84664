// Rows and matrices as the kernels take them.
#ifndef VASE_SCORE_MATRICES_HPP
#define VASE_SCORE_MATRICES_HPP

#include <cstddef>
#include <cstdint>

namespace vase {

inline constexpr int32_t kLanes = 16;

/// n rounded up to whole groups of kLanes.
constexpr int32_t pad_to_lanes(int32_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

/// Rows as the kernels take them: f32, one after the other, `stride` floats apart (a multiple of
/// kLanes), zeros behind the last element.
struct DenseRows {
  float* data;
  int32_t count;
  int32_t stride;

  float* row(int32_t i) const { return data + static_cast<ptrdiff_t>(i) * stride; }
};

/// A matrix whose columns are the lanes of the kernel: [depth][lanes], lanes a multiple of kLanes.
struct LaneMatrix {
  float* data;
  int32_t depth;
  int32_t lanes;

  float* row(int32_t i) const { return data + static_cast<ptrdiff_t>(i) * lanes; }
};

}  // namespace vase

#endif
