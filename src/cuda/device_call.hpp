// What the kernels see of a call: the items in device memory, what they have in common, and the
// scratch memory of a turn.
#ifndef VASE_CUDA_DEVICE_CALL_HPP
#define VASE_CUDA_DEVICE_CALL_HPP

#include <vector_types.h>

#include <cstddef>
#include <cstdint>

#include "core/novelty_rule.hpp"
#include "policy/traits.hpp"
#include "vase/vase.h"

namespace vase::cuda {

/// Where an item keeps its keys or its values; cell and head as in vase_rows.
struct DeviceRows {
  std::byte* data;
  int64_t row_stride;
  int64_t head_stride;
};

/// One layer of one sequence, as vase_cuda_item has it, all pointers on the device.
struct DeviceItem {
  DeviceRows keys;
  DeviceRows values;
  const int32_t* cells;  ///< [n_rows] or null: cell i
  int32_t* positions;    ///< [heads][position_stride] by cell, or null: row i
  int64_t position_stride;
  float* sums;  ///< [heads][position_stride] by cell, or null
  const float* queries;
  int64_t query_head_stride;   ///< bytes
  int64_t query_token_stride;  ///< bytes
  const float* gauss;
  const float* calibration;  ///< [n_query_heads][3][keys.dim / 2]
  const float* frequencies;  ///< [DeviceCall::rope.pairs] radians a token
  int32_t n_rows;
  int32_t n_new;
  int32_t new_position;
  int32_t pinned_begin;
  int32_t pinned_end;
  int32_t pinned_first;
  int32_t active;     ///< 0: nothing to choose, all rows stay
  int32_t freed;      ///< rows that each head gives up
  float logit_scale;  ///< of the logits in powers of 2, temperature included
  uint32_t sequence;
  uint32_t eviction;
  uint32_t layer;
};

struct RowShape {
  vase_type type;
  int32_t dim;
  int32_t rotation;
  int32_t vector_loads;  ///< 1: all rows of all items start at multiples of 16 bytes
};

/// How keys were rotated for their positions, as vase_rope has it.
struct RopeShape {
  int32_t pairs;  ///< 0: not at all, or nobody knows how
  int32_t stride;
};

/// A policy of the registry in terms of the kernels here.
struct Recipe {
  Protect protect;
  DeviceScore score;
  Choice choose;
  bool evicts;
  int32_t every;  ///< of the newest queries each so many-th scores (Traits::every)

  constexpr bool attends() const {
    return score == DeviceScore::kAttention || score == DeviceScore::kAttentionSoFar ||
           score == DeviceScore::kRedundancy || score == DeviceScore::kHeededNovelty;
  }
};

/// One turn of a call. A unit is one KV head of one item: unit = item * n_heads + head.
struct DeviceCall {
  const DeviceItem* items;
  int32_t n_items;
  int32_t n_heads;
  int32_t group;      ///< query heads of a KV head
  int32_t n_queries;  ///< of a query head that score
  RowShape keys;
  RowShape values;
  RopeShape rope;
  int32_t row_capacity;  ///< stride of all arrays by row, from unit to unit
  int32_t most_rows;     ///< of an item
  int32_t most_freed;    ///< of an item
  int32_t token_bits;    ///< token positions are below 2^token_bits; 32: any int32
  int32_t shared_bytes;  ///< of memory that a block of threads may share, at most

  Recipe recipe;
  int32_t keeps_sums;  ///< 1: what is found of rows is added to their sums, not only looked at
  int32_t budget, recency, sinks, protect, pooling, projections, resample;
  float lambda;
  uint64_t seed;

  constexpr int32_t units() const { return n_items * n_heads; }
  /// Value ranges are looked at: ranked, or the wide ones counted.
  constexpr bool ranges() const {
    return recipe.protect == Protect::kWidestValues || recipe.score == DeviceScore::kValueRange ||
           (recipe.protect == Protect::kRandom && protect == VASE_PROTECT_AUTO);
  }
};

/// Scratch arrays, each [units][row_capacity] unless said otherwise. "By row" follows the order of
/// `cells`, "by age" the order of tokens, oldest first.
struct Scratch {
  uint32_t* tokens;      ///< by age: token positions, sign bit flipped; while sorting by row
  uint32_t* tokens_too;  ///< the other buffer of the sort
  int32_t* order;        ///< by age: rows
  int32_t* order_too;
  int32_t* segments;  ///< [2][units]: where the rows of a unit begin and end in the above
  int32_t* age;       ///< by row: place in the order
  float*
      first;  ///< by row: attention, its sum so far, the keys' part of CUR's leverage, or novelty
  float* second;      ///< by row: value ranges, redundancy, KeyDiff's score, the values' part
  float* third;       ///< by row: attention where `first` is the novelty
  uint64_t* ranking;  ///< by age: sort keys of a choice; before it see upright_squares()
  uint8_t* chosen;    ///< by age: 1 for rows that stay
  uint8_t* keep;      ///< by row: the outcome
  int2* moves;        ///< [units][row_capacity / 2] (from cell, to cell); shares memory with `age`
  int32_t* n_moves;   ///< [units]

  uint16_t* planes;   ///< packed vectors, see vectors.hpp
  float4* constants;  ///< [units][vector capacity] of each vector: scale, maximum, share
  float2* partials;   ///< [units][splits][vector capacity] maximum and sum of a part of the keys
  float* row_sums;  ///< [units][splits][row_sums()] sums of unit keys or of values and their count,
                    ///< or of the scores of usual queries
  float* centres;   ///< [units][kMostDim] of some candidates' keys; upright keys are less it
  KeyScale* key_scales;  ///< [units] the unit of upright keys, core/novelty_rule.hpp
  uint16_t* upright;     ///< [upright_elements] keys before RoPE of some items, see upright.hpp
  int64_t upright_elements;
  DeviceItem* upright_items;  ///< [items]
  void* sort_space;
  size_t sort_bytes;
};

}  // namespace vase::cuda

#endif
