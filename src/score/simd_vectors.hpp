// Vectors and groups of them, for the instruction set that is being compiled (once for each: the
// guard is Highway's).
#if defined(VASE_SCORE_SIMD_VECTORS_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef VASE_SCORE_SIMD_VECTORS_HPP
#undef VASE_SCORE_SIMD_VECTORS_HPP
#else
#define VASE_SCORE_SIMD_VECTORS_HPP
#endif

#include <hwy/highway.h>

#include "score/kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace vase::HWY_NAMESPACE {

/// What rows_simd.cpp compiled for this instruction set; Kernels says what it does.
void read_rows(const vase_rows& rows, int32_t head, const int32_t* cells, DenseRows out);
void turn_back(DenseRows rows, const RopeSteps& rope, const int32_t* positions);
void pair_lengths(DenseRows rows, int32_t pairs, int32_t stride, DenseRows out);
void centre_rows(DenseRows rows, const float* centre);

namespace {

namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, kLanes>;
using V = hn::Vec<F32>;
constexpr F32 f32;
constexpr int kWidth = static_cast<int>(hn::MaxLanes(f32));  // floats a vector
constexpr int kVectors = kLanes / kWidth;                    // vectors a group

/// A group of kLanes floats.
struct Group {
  V v[kVectors];
};

HWY_INLINE Group zero_group() {
  Group g;
  for (V& v : g.v) v = hn::Zero(f32);
  return g;
}

/// Adds the lanes of a group: the upper half onto the lower, until one is left.
HWY_INLINE float fold(const Group& g) {
  alignas(64) float lanes[kLanes];
  for (int i = 0; i < kVectors; ++i) hn::Store(g.v[i], f32, lanes + i * kWidth);
  constexpr hn::CappedTag<float, 8> f8;
  constexpr hn::CappedTag<float, 4> f4;
  for (int i = 0; i < 8; i += static_cast<int>(hn::MaxLanes(f8)))
    hn::Store(hn::Add(hn::Load(f8, lanes + i), hn::Load(f8, lanes + i + 8)), f8, lanes + i);
  for (int i = 0; i < 4; i += static_cast<int>(hn::MaxLanes(f4)))
    hn::Store(hn::Add(hn::Load(f4, lanes + i), hn::Load(f4, lanes + i + 4)), f4, lanes + i);
  return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

}  // namespace
}  // namespace vase::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
