// Queries and projections as the tensor cores take them: split into 16-bit planes and scaled by a
// power of two each, so that no element leaves the range of f16.
#ifndef VASE_CUDA_VECTORS_HPP
#define VASE_CUDA_VECTORS_HPP

#include <cstdint>

#include "cuda/device_call.hpp"
#include "vase/cuda.h"

namespace vase::cuda {

constexpr int32_t kVectorTile = 32;  // vectors that are staged together
constexpr int32_t kMostDim = VASE_CUDA_MOST_DIM;
constexpr int32_t kMostProjections = 64;

/// Elements of a row that a warp holds at a segment a lane. Wider rows are read in pieces, and
/// their products are made of streamed operands (streamed.cuh).
constexpr int32_t kPiece = 256;
constexpr int32_t kMostPieces = (kMostDim + kPiece - 1) / kPiece;
/// Pieces that the kernels are compiled for.
constexpr int32_t padded_pieces(int32_t dim) { return dim <= kPiece ? 1 : kMostPieces; }

/// Elements that the kernels are compiled for; of wide rows whole chunks, as many as there are.
constexpr int32_t padded_dim(int32_t dim) {
  return dim <= 64 ? 64 : dim <= 128 ? 128 : dim <= kPiece ? kPiece : (dim + 31) / 32 * 32;
}

/// Sums of a row's elements, and how many rows they are of.
constexpr int32_t row_sums(int32_t pieces) { return pieces * kPiece + 1; }

/// Whether vectors beside rows of this type are split into f16 (two planes), else bf16 (three).
constexpr bool takes_half(vase_type rows) { return rows != VASE_F32; }
constexpr int32_t vector_planes(vase_type rows) { return takes_half(rows) ? 2 : 3; }

/// Sets of vectors: planes [sets][planes][padded][dim] of 16 bits, constants [sets][padded].
struct Vectors {
  int32_t count;   ///< of a set
  int32_t padded;  ///< to whole tiles; vectors beyond `count` are 0
  int32_t planes;
  int32_t dim;
  int32_t sets;

  constexpr int64_t plane_elements() const { return int64_t{padded} * dim; }
  constexpr int64_t elements() const { return plane_elements() * planes * sets; }
};

constexpr int32_t pad_to_tiles(int32_t n) {
  return (n + kVectorTile - 1) / kVectorTile * kVectorTile;
}

/// The queries of a KV head's group; a set for each unit.
inline Vectors queries_of(const DeviceCall& call) {
  const int32_t count = call.group * call.n_queries;
  return {count, pad_to_tiles(count), vector_planes(call.keys.type), padded_dim(call.keys.dim),
          call.units()};
}

/// The columns of CUR's projection; a set for each item. They meet keys and values, whose types may
/// differ: planes of f16 or bf16, as `rows` wants them.
inline Vectors projections_of(const DeviceCall& call, vase_type rows) {
  const int32_t dim = call.keys.dim > call.values.dim ? call.keys.dim : call.values.dim;
  return {call.projections, pad_to_tiles(call.projections), vector_planes(rows), padded_dim(dim),
          call.n_items};
}

}  // namespace vase::cuda

#endif
