#include <cmath>

#include "core/philox.hpp"
#include "cuda/launch.hpp"
#include "cuda/segment.cuh"
#include "cuda/vectors.hpp"

namespace vase::cuda {
namespace {

constexpr int kWarp = 32, kWarps = 8;
constexpr unsigned kAllLanes = 0xffffffffu;

/// Elements of a vector that a lane has.
template <int kPieces>
constexpr int kPerLane = kPieces* kPiece / kWarp;

/// One warp splits x, of which lane l holds elements l, l + 32, ..., into the planes of vector `v`
/// of set `set` and stores the scale that undoes the normalisation.
template <int kElements>
__device__ void store_vector(float (&x)[kElements], const Vectors& vectors, bool half, int set,
                             int v, const Scratch& scratch) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float largest = 0;
#pragma unroll
  for (float e : x) largest = fmaxf(largest, fabsf(e));
  for (int step = kWarp / 2; step > 0; step /= 2)
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, step));
  const float power = normalising_power(largest);
#pragma unroll
  for (float& e : x) e *= power;

  uint16_t* to =
      scratch.planes + (int64_t{set} * vectors.planes * vectors.padded + v) * vectors.dim;
  for (int plane = 0; plane < vectors.planes; ++plane, to += vectors.plane_elements())
#pragma unroll
    for (int j = 0; j < kElements; ++j) {
      const int d = lane + j * kWarp;
      if (d >= vectors.dim) break;
      const uint16_t bits = half ? __half_as_ushort(__float2half_rn(x[j]))
                                 : __bfloat16_as_ushort(__float2bfloat16_rn(x[j]));
      to[d] = bits;
      x[j] -= half ? __half2float(__ushort_as_half(bits))
                   : __bfloat162float(__ushort_as_bfloat16(bits));
    }
  if (lane == 0)
    scratch.constants[int64_t{set} * vectors.padded + v] = {v < vectors.count ? 1.0f / power : 0.0f,
                                                            0.0f, 0.0f, 0.0f};
}

/// Grid: (vectors / kWarps, units).
template <int kPieces>
__global__ void pack_queries_kernel(DeviceCall call, Vectors vectors, bool half, Scratch scratch) {
  const int unit = static_cast<int>(blockIdx.y), lane = static_cast<int>(threadIdx.x) % kWarp;
  const int v = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  const DeviceItem& item = call.items[unit / call.n_heads];
  if (item.active == 0 || v >= vectors.padded) return;

  const int head = unit % call.n_heads * call.group + v / call.n_queries;
  const auto* query = reinterpret_cast<const float*>(
      reinterpret_cast<const std::byte*>(item.queries) + head * item.query_head_stride +
      v % call.n_queries * item.query_token_stride);
  float x[kPerLane<kPieces>];
  bool finite = true;
#pragma unroll
  for (int j = 0; j < kPerLane<kPieces>; ++j) {
    const int d = lane + j * kWarp;
    x[j] = v < vectors.count && d < call.keys.dim ? query[d] * item.logit_scale : 0.0f;
    finite &= isfinite(x[j]);
  }
  if (!__all_sync(kAllLanes, finite))  // it attends to all keys alike
#pragma unroll
    for (float& e : x) e = 0.0f;
  store_vector(x, vectors, half, unit, v, scratch);
}

/// As draw_projection of score/cur.cpp: element `index` of the matrix [dim][projections].
__device__ float normal_number(const PhiloxStream& random, uint32_t index) {
  const PhiloxCounter bits = random.at(index / 4);
  const bool second = index % 4 >= 2;
  const double u1 = unit_open(second ? bits[2] : bits[0]);
  const double u2 = unit_open(second ? bits[3] : bits[1]);
  const double radius = sqrt(-2.0 * log(u1)), angle = 2.0 * 3.141592653589793 * u2;
  return static_cast<float>(radius * (index % 2 == 0 ? cos(angle) : sin(angle)));
}

/// Grid: (vectors / kWarps, items).
template <int kPieces>
__global__ void pack_projections_kernel(DeviceCall call, Vectors vectors, bool half,
                                        Scratch scratch) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int v = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  const DeviceItem& item = call.items[blockIdx.y];
  if (item.active == 0 || v >= vectors.padded) return;

  const PhiloxStream random(call.seed, PhiloxStream::Purpose::kProjection, item.sequence,
                            call.resample != 0 ? item.eviction : 0, item.layer, 0);
  const float norm = 1.0f / sqrtf(static_cast<float>(call.projections));
  const int depth = max(call.keys.dim, call.values.dim);
  float x[kPerLane<kPieces>];
#pragma unroll
  for (int j = 0; j < kPerLane<kPieces>; ++j) {
    const int d = lane + j * kWarp, index = d * call.projections + v;
    x[j] = 0;
    if (v < vectors.count && d < depth)
      x[j] = item.gauss != nullptr ? item.gauss[index]
                                   : normal_number(random, static_cast<uint32_t>(index)) * norm;
  }
  store_vector(x, vectors, half, static_cast<int>(blockIdx.y), v, scratch);
}

dim3 grid_of(const Vectors& vectors) {
  return {static_cast<unsigned>(divide_up(vectors.padded, kWarps)),
          static_cast<unsigned>(vectors.sets)};
}

}  // namespace

void pack_queries(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream) {
  const Vectors vectors = queries_of(call);
  const auto kernel =
      padded_pieces(vectors.dim) == 1 ? pack_queries_kernel<1> : pack_queries_kernel<kMostPieces>;
  kernel<<<grid_of(vectors), kWarp * kWarps, 0, stream>>>(call, vectors, takes_half(call.keys.type),
                                                          scratch);
}

void pack_projections(const DeviceCall& call, vase_type rows, const Scratch& scratch,
                      cudaStream_t stream) {
  const Vectors vectors = projections_of(call, rows);
  const auto kernel = padded_pieces(vectors.dim) == 1 ? pack_projections_kernel<1>
                                                      : pack_projections_kernel<kMostPieces>;
  kernel<<<grid_of(vectors), kWarp * kWarps, 0, stream>>>(call, vectors, takes_half(rows), scratch);
}

}  // namespace vase::cuda
