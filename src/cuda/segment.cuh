// Eight consecutive elements of a cache row: as stored, as f32, and as the 16-bit planes that the
// tensor cores multiply.
//
// A plane is a term of a sum: the element is the sum of its planes. f16 rows are their own plane,
// f32 rows take three of bf16 (24 bits). bf16 rows become f16, which has more bits: nothing is lost
// between 2^-14 and 65504, 2^-25 at most below, and what is above is taken for 65504. Quantised
// rows have one plane of whole numbers; the block's scale is applied to the sums of products.
// Planes say nothing of elements that are not finite: is_finite() does.
#ifndef VASE_CUDA_SEGMENT_CUH
#define VASE_CUDA_SEGMENT_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "core/rows.hpp"
#include "cuda/device_call.hpp"

namespace vase::cuda {

constexpr int kSegment = 8;  // elements
constexpr int kChunk = 32;   // elements that one step of the products takes
static_assert(kChunk == kBlockElements);

inline __host__ __device__ int divide_up(int a, int b) { return (a + b - 1) / b; }

/// How rows of a type meet vectors (queries, projections) in the products. Both are split until
/// what is lost is at most f32's own rounding.
template <vase_type T>
struct Planes {
  static constexpr bool kHalf = T != VASE_F32;  // f16 planes; else bf16
  static constexpr int kRows = T == VASE_F32 ? 3 : 1;
  static constexpr int kVectors = kHalf ? 2 : 3;
  static constexpr bool kScaled = has_blocks(T);
};

__device__ inline uint32_t pack_half2(float a, float b) {
  const __half2 h = __floats2half2_rn(a, b);
  return *reinterpret_cast<const uint32_t*>(&h);
}
__device__ inline uint32_t pack_bf162(float a, float b) {
  const __nv_bfloat162 h = __floats2bfloat162_rn(a, b);
  return *reinterpret_cast<const uint32_t*>(&h);
}
__device__ inline float2 unpack_half2(uint32_t bits) {
  return __half22float2(*reinterpret_cast<const __half2*>(&bits));
}
__device__ inline float2 unpack_bf162(uint32_t bits) {
  return {__uint_as_float(bits << 16), __uint_as_float(bits & 0xffff0000u)};
}

/// The power of two by which the largest element lies in [128, 256): far from f16's overflow, and
/// what is below its smallest numbers is 2^-32 of the largest.
__device__ inline float normalising_power(float largest) {
  if (!(largest > 0) || isinf(largest)) return 1;
  int exponent;
  frexpf(largest, &exponent);
  return ldexpf(1.0f, 8 - max(exponent, -110));
}

/// Takes the next plane off x[8]: rounds to 16 bits and leaves the rest in x.
template <bool kHalf>
__device__ inline uint4 take_plane(float (&x)[kSegment]) {
  uint32_t bits[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    bits[i] = kHalf ? pack_half2(x[2 * i], x[2 * i + 1]) : pack_bf162(x[2 * i], x[2 * i + 1]);
    const float2 taken = kHalf ? unpack_half2(bits[i]) : unpack_bf162(bits[i]);
    x[2 * i] -= taken.x;
    x[2 * i + 1] -= taken.y;
  }
  return {bits[0], bits[1], bits[2], bits[3]};
}

/// Whether no 16-bit element of `bits` has the exponent of infinity and NaN. kExponent: its bits in
/// both halves of a word; kLowest: the lowest of them, which added to all of them carries over.
template <uint32_t kExponent, uint32_t kLowest>
__device__ inline bool all_finite(const uint4& bits) {
  const uint32_t carried = ((bits.x & kExponent) + kLowest) | ((bits.y & kExponent) + kLowest) |
                           ((bits.z & kExponent) + kLowest) | ((bits.w & kExponent) + kLowest);
  return (carried & 0x80008000u) == 0;
}

template <int kElements>
__device__ inline bool all_finite(const float (&x)[kElements]) {
  bool finite = true;
#pragma unroll
  for (const float v : x) finite &= isfinite(v);
  return finite;
}

/// fetch<kFull>: kFull promises that the row has the segment and that it starts at a multiple of 16
/// bytes (blocks: anywhere), so that the loads of many segments can be on the way at once.
template <vase_type T>
struct Segment;

struct Segment16 {
  uint4 bits{};

  template <bool kFull = false>
  __device__ void fetch(const std::byte* row, int segment, const RowShape& shape) {
    const int first = segment * kSegment;
    const auto* at = reinterpret_cast<const uint16_t*>(row) + first;
    if constexpr (kFull)
      bits = *reinterpret_cast<const uint4*>(at);
    else if (shape.vector_loads != 0 && first + kSegment <= shape.dim)
      bits = *reinterpret_cast<const uint4*>(at);
    else
      fetch_one_by_one(at, shape.dim - first);
  }
  __device__ void fetch_one_by_one(const uint16_t* at, int count) {
    uint32_t half[kSegment];
#pragma unroll
    for (int i = 0; i < kSegment; ++i) half[i] = i < count ? at[i] : 0;
    bits = {half[0] | half[1] << 16, half[2] | half[3] << 16, half[4] | half[5] << 16,
            half[6] | half[7] << 16};
  }
  __device__ float scale() const { return 1; }
};

template <>
struct Segment<VASE_F16> : Segment16 {
  __device__ bool is_finite() const { return all_finite<0x7c007c00u, 0x04000400u>(bits); }
  __device__ void planes(uint4 (&out)[1]) const { out[0] = bits; }
  __device__ void values(float (&out)[kSegment]) const {
    const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 pair = unpack_half2(words[i]);
      out[2 * i] = pair.x;
      out[2 * i + 1] = pair.y;
    }
  }
};

template <>
struct Segment<VASE_BF16> : Segment16 {
  __device__ bool is_finite() const { return all_finite<0x7f807f80u, 0x00800080u>(bits); }
  __device__ void planes(uint4 (&out)[1]) const {
    constexpr float kMost = 65504;
    float x[kSegment];
    values(x);
#pragma unroll
    for (float& v : x) v = fminf(fmaxf(v, -kMost), kMost);
    out[0] = take_plane<true>(x);
  }
  __device__ void values(float (&out)[kSegment]) const {
    const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 pair = unpack_bf162(words[i]);
      out[2 * i] = pair.x;
      out[2 * i + 1] = pair.y;
    }
  }
};

template <>
struct Segment<VASE_F32> {
  float4 low{}, high{};

  template <bool kFull = false>
  __device__ void fetch(const std::byte* row, int segment, const RowShape& shape) {
    const int first = segment * kSegment;
    const auto* at = reinterpret_cast<const float*>(row) + first;
    if constexpr (kFull)
      fetch_wide(at);
    else if (shape.vector_loads != 0 && first + kSegment <= shape.dim)
      fetch_wide(at);
    else
      fetch_one_by_one(at, shape.dim - first);
  }
  __device__ void fetch_wide(const float* at) {
    low = *reinterpret_cast<const float4*>(at);
    high = *reinterpret_cast<const float4*>(at + 4);
  }
  __device__ void fetch_one_by_one(const float* at, int count) {
    float x[kSegment];
#pragma unroll
    for (int i = 0; i < kSegment; ++i) x[i] = i < count ? at[i] : 0.0f;
    low = {x[0], x[1], x[2], x[3]};
    high = {x[4], x[5], x[6], x[7]};
  }
  __device__ bool is_finite() const {
    float x[kSegment];
    values(x);
    return all_finite(x);
  }
  __device__ void values(float (&out)[kSegment]) const {
    out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
    out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
  }
  __device__ void planes(uint4 (&out)[3]) const {
    float x[kSegment];
    values(x);
#pragma unroll
    for (uint4& plane : out) plane = take_plane<false>(x);
  }
  __device__ float scale() const { return 1; }
};

/// A quarter of a block, read in pairs of bytes because blocks start at any even address. Own says
/// which two elements of the segment a pair of bytes holds.
template <typename Own, int kBlockBytes>
struct BlockSegment {
  static constexpr int kQuarters = kChunk / kSegment;
  uint16_t pairs[4]{};
  uint16_t scale_bits = 0;

  template <bool kFull = false>
  __device__ void fetch(const std::byte* row, int segment, const RowShape& shape) {
    if (!kFull && segment * kSegment >= shape.dim) {
      own() = Own{};
      return;
    }
    const auto* block =
        reinterpret_cast<const uint16_t*>(row) + segment / kQuarters * (kBlockBytes / 2);
    scale_bits = block[0];
    const uint16_t* at = block + 1 + own().begin_quarter(segment % kQuarters);
#pragma unroll
    for (int i = 0; i < 4; ++i) pairs[i] = at[i];
  }
  __device__ float scale() const { return __half2float(__ushort_as_half(scale_bits)); }
  __device__ bool is_finite() const { return (scale_bits & 0x7c00) != 0x7c00; }
  __device__ void values(float (&out)[kSegment]) const {
    const float s = scale();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 q = own().quants(i);
      out[2 * i] = s * q.x;
      out[2 * i + 1] = s * q.y;
    }
  }
  __device__ void planes(uint4 (&out)[1]) const {
    uint32_t bits[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 q = own().quants(i);
      bits[i] = pack_half2(q.x, q.y);
    }
    out[0] = {bits[0], bits[1], bits[2], bits[3]};
  }

 private:
  __device__ Own& own() { return static_cast<Own&>(*this); }
  __device__ const Own& own() const { return static_cast<const Own&>(*this); }
};

template <>
struct Segment<VASE_Q8_0> : BlockSegment<Segment<VASE_Q8_0>, kQ8BlockBytes> {
  /// Where the quarter's pairs of bytes start behind the scale.
  __device__ int begin_quarter(int quarter) { return quarter * (kSegment / 2); }
  __device__ float2 quants(int pair) const {
    return {static_cast<float>(static_cast<int8_t>(pairs[pair] & 0xff)),
            static_cast<float>(static_cast<int8_t>(pairs[pair] >> 8))};
  }
};

/// Quarters 0 and 1 are the low nibbles of the bytes of which 2 and 3 are the high ones.
template <>
struct Segment<VASE_Q4_0> : BlockSegment<Segment<VASE_Q4_0>, kQ4BlockBytes> {
  int shift = 0;

  __device__ int begin_quarter(int quarter) {
    shift = quarter / 2 * 4;
    return quarter % 2 * (kSegment / 2);
  }
  __device__ float2 quants(int pair) const {
    const int nibbles = pairs[pair] >> shift;
    return {static_cast<float>((nibbles & 15) - 8), static_cast<float>((nibbles >> 8 & 15) - 8)};
  }
};

/// Scratch.tokens has token positions with this bit flipped: they sort as unsigned numbers.
constexpr uint32_t kSignBit = 0x80000000u;
__device__ inline int32_t token_of(uint32_t sorted) {
  return static_cast<int32_t>(sorted ^ kSignBit);
}

/// By age: squared lengths of a unit's upright rows, in an array that nobody else uses before the
/// choice.
__device__ inline float* upright_squares(const DeviceCall& call, const Scratch& scratch, int unit) {
  return reinterpret_cast<float*>(scratch.ranking + int64_t{unit} * call.row_capacity);
}

/// The cell of row `row`.
__device__ inline int cell_of(const DeviceItem& item, int row) {
  return item.cells != nullptr ? item.cells[row] : row;
}

/// What was found so far of the row that `head` holds in the cell of row `row`; item.sums is there.
__device__ inline float* sum_of(const DeviceItem& item, int head, int row) {
  return item.sums + head * item.position_stride + cell_of(item, row);
}

/// Start of the row that `head` holds in the cell of row `row`.
__device__ inline std::byte* row_of(const DeviceItem& item, const DeviceRows& rows, int head,
                                    int row) {
  return rows.data + cell_of(item, row) * rows.row_stride + head * rows.head_stride;
}

/// Calls use.operator()<T>() for the row type.
template <typename Use>
void with_type(vase_type type, const Use& use) {
  switch (type) {
    case VASE_F32:
      return use.template operator()<VASE_F32>();
    case VASE_F16:
      return use.template operator()<VASE_F16>();
    case VASE_BF16:
      return use.template operator()<VASE_BF16>();
    case VASE_Q8_0:
      return use.template operator()<VASE_Q8_0>();
    case VASE_Q4_0:
      return use.template operator()<VASE_Q4_0>();
  }
}

/// Whether rows of `shape` can be fetched with kFull by kernels for `dim` elements.
inline bool full_rows(const RowShape& shape, int dim) {
  return shape.dim == dim && (shape.vector_loads != 0 || has_blocks(shape.type));
}

/// Candidates of an item: all rows but the newest `recency`.
__device__ inline int candidates_of(const DeviceCall& call, const DeviceItem& item) {
  return item.n_rows - min(item.n_rows, call.recency);
}

/// Rows that queries attend to, by age from the oldest: the candidates; for attention so far all
/// that are older than the queries.
__device__ inline int attended_rows(const DeviceCall& call, const DeviceItem& item) {
  return call.recipe.score == DeviceScore::kAttentionSoFar
             ? item.n_rows - min(item.n_rows, call.n_queries)
             : candidates_of(call, item);
}

}  // namespace vase::cuda

#endif
