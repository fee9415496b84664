// The choice of each unit by one block of threads: fixed rows, protected rows, scores, the best or
// a draw of the others. The same steps as policy/eviction.cpp and core/keep_set.cpp.
#include <cub/block/block_reduce.cuh>

#include "core/heed_rule.hpp"
#include "core/philox.hpp"
#include "core/width_rule.hpp"
#include "cuda/launch.hpp"
#include "cuda/radix_select.cuh"
#include "cuda/segment.cuh"

namespace vase::cuda {
namespace {

using FloatReduce = cub::BlockReduce<float, kChoosers>;
using DoubleReduce = cub::BlockReduce<double, kChoosers>;

struct Shared {
  union {
    RadixSelect::Shared select;
    typename FloatReduce::TempStorage reduce_float;
    typename DoubleReduce::TempStorage reduce_double;
  };
  float maximum;
  double sum;
};

/// A unit's candidates, by age.
struct Candidates {
  const DeviceCall& call;
  const DeviceItem& item;
  int n;
  const uint32_t* tokens;
  const int32_t* order;
  const float* first;   // by row
  const float* second;  // by row
  const float* third;   // by row
  uint8_t* chosen;
  uint64_t* ranking;
  float redundancy_maximum = 0;
  double redundancy_sum = 1;

  __device__ int32_t token(int i) const { return token_of(tokens[i]); }

  /// Spoilt rows, whose attention is NaN, are no neighbours. weights: attention by row.
  __device__ float pooled(const float* weights, int i) const {
    const int reach = call.pooling / 2;
    if (isnan(weights[order[i]])) return NAN;
    float sum = 0;
    for (int j = max(0, i - reach); j <= min(n - 1, i + reach); ++j) {
      const float attention = weights[order[j]];
      if (!isnan(attention)) sum += attention;
    }
    return sum / static_cast<float>(call.pooling);
  }

  __device__ float score(int i) const {
    switch (call.recipe.score) {
      case DeviceScore::kEqual:
        return 1;
      case DeviceScore::kAge:
        return static_cast<float>(i) / static_cast<float>(n);
      case DeviceScore::kValueRange:
      case DeviceScore::kKeyDiff:
        return second[order[i]];
      case DeviceScore::kAttention:
        return pooled(first, i);
      case DeviceScore::kAttentionSoFar:
      case DeviceScore::kUsualAttention:
        return first[order[i]];
      case DeviceScore::kRedundancy: {
        const float e = expf(second[order[i]] - redundancy_maximum);
        const auto share = static_cast<float>(static_cast<double>(e) / redundancy_sum);
        return call.lambda * pooled(first, i) - (1.0f - call.lambda) * share;
      }
      case DeviceScore::kLeverage:
      case DeviceScore::kNovelty:
        return first[order[i]] * second[order[i]];
      case DeviceScore::kHeededNovelty:
        return first[order[i]] * sqrtf(second[order[i]]) *
               powf(pooled(third, i) + kLeastHeed, kHeedPower);
    }
    return 0;
  }

  /// When candidate i's clock of rate `weight` rings: see KeepSet::add_drawn.
  __device__ double ring_time(const PhiloxStream& random, float weight, int i) const {
    const auto w = static_cast<double>(weight);
    if (!(w > 0) || isinf(w)) return INFINITY;
    return -log(random.uniform(static_cast<uint32_t>(token(i)))) / w;
  }
};

/// Keeps sinks and pinned rows, oldest first while there is room. Returns how many.
__device__ int keep_fixed(const Candidates& c, int quota, RadixSelect::Shared& shared) {
  const auto fixed = [&](int i) {
    const int32_t token = c.token(i);
    return token < c.call.sinks || token < c.item.pinned_first ||
           (token >= c.item.pinned_begin && token < c.item.pinned_end);
  };
  int all = 0;
  RadixSelect::for_own_range(c.n, [&](int begin, int end) {
    int mine = 0, before = 0;
    for (int i = begin; i < end; ++i) mine += fixed(i) ? 1 : 0;
    RadixSelect::Scan(shared.scan).ExclusiveSum(mine, before, all);
    for (int i = begin; i < end; ++i) c.chosen[i] = fixed(i) && before++ < quota ? 1 : 0;
  });
  __syncthreads();
  return min(all, quota);
}

__device__ int sinks_among(const Candidates& c) {
  int low = 0, high = c.n;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (c.token(middle) < c.call.sinks)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/// Writes key(i) of the candidates that are not chosen.
template <typename Key>
__device__ void write_keys(const Candidates& c, const Key& key) {
  for (int i = static_cast<int>(threadIdx.x); i < c.n; i += kChoosers)
    if (c.chosen[i] == 0) c.ranking[i] = key(i);
  __syncthreads();
}

/// Chooses the `count` candidates of the lowest key(i) among the others. Returns how many.
template <typename Key>
__device__ int choose_lowest(const Candidates& c, int count, int kept, RadixSelect::Shared& shared,
                             const Key& key) {
  count = min(count, c.n - kept);
  if (count <= 0) return 0;
  write_keys(c, key);
  RadixSelect(shared).lowest(c.n, count, c.ranking, c.chosen);
  return count;
}

/// Wide ones among the value ranges of the candidates that are not chosen: score/wide_values.cpp.
/// Keys are those of the ranking by range, where NaN is the narrowest.
__device__ int count_wide(const Candidates& c, int kept, RadixSelect::Shared& shared) {
  const int others = c.n - kept;
  if (others <= 0) return 0;
  const auto range = [&](int i) { return c.second[c.order[i]]; };
  write_keys(c, [&](int i) { return order_key(-range(i)); });
  const float centre =
      -RadixSelect(shared).nth(c.n, others - 1 - median_place(others), c.ranking, c.chosen);
  write_keys(c, [&](int i) { return order_key(fabsf(range(i) - centre)); });
  const float deviation = RadixSelect(shared).nth(c.n, median_place(others), c.ranking, c.chosen);

  int mine = 0, before = 0, all = 0;
  for (int i = static_cast<int>(threadIdx.x); i < c.n; i += kChoosers)
    if (c.chosen[i] == 0 && is_wide(range(i) - centre, deviation)) ++mine;
  RadixSelect::Scan(shared.scan).ExclusiveSum(mine, before, all);
  __syncthreads();
  return all;
}

/// P less the sinks: policy/protection.cpp.
__device__ int rows_to_protect(const Candidates& c, int kept, RadixSelect::Shared& shared) {
  const int sinks = sinks_among(c);
  if (c.call.protect != VASE_PROTECT_AUTO) return c.call.protect - sinks;
  return bound_protection(sinks + count_wide(c, kept, shared), c.call.budget) - sinks;
}

__device__ int protect(const Candidates& c, const PhiloxStream& random, int room, int kept,
                       RadixSelect::Shared& shared) {
  if (c.call.recipe.protect == Protect::kNothing) return 0;
  const int count = min(rows_to_protect(c, kept, shared), room);
  switch (c.call.recipe.protect) {
    case Protect::kNothing:
      break;
    case Protect::kWidestValues:
      return choose_lowest(c, count, kept, shared,
                           [&](int i) { return order_key(-c.second[c.order[i]]); });
    case Protect::kRandom:
      return choose_lowest(c, count, kept, shared,
                           [&](int i) { return order_key(c.ring_time(random, 1.0f, i)); });
  }
  return 0;
}

/// The softmax over the mean similarities of all candidates but the spoilt ones, which are NaN.
__device__ void normalise_redundancy(Candidates& c, Shared& shared) {
  float maximum = -INFINITY;
  for (int i = static_cast<int>(threadIdx.x); i < c.n; i += kChoosers)
    maximum = fmaxf(maximum, c.second[c.order[i]]);
  maximum = FloatReduce(shared.reduce_float).Reduce(maximum, [](float a, float b) {
    return fmaxf(a, b);
  });
  if (threadIdx.x == 0) shared.maximum = maximum;
  __syncthreads();
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < c.n; i += kChoosers) {
    const float e = expf(c.second[c.order[i]] - shared.maximum);
    if (!isnan(e)) sum += static_cast<double>(e);
  }
  sum = DoubleReduce(shared.reduce_double).Sum(sum);
  if (threadIdx.x == 0) shared.sum = sum;
  __syncthreads();
  c.redundancy_maximum = shared.maximum;
  c.redundancy_sum = shared.sum;
}

__device__ void choose_by_score(const Candidates& c, const PhiloxStream& random, int room, int kept,
                                RadixSelect::Shared& shared) {
  switch (c.call.recipe.choose) {
    case Choice::kHighest:
      choose_lowest(c, room, kept, shared, [&](int i) { return order_key(-c.score(i)); });
      break;
    case Choice::kLowest:
      choose_lowest(c, room, kept, shared, [&](int i) { return order_key(c.score(i)); });
      break;
    case Choice::kDraw:
      choose_lowest(c, room, kept, shared,
                    [&](int i) { return order_key(c.ring_time(random, c.score(i), i)); });
      break;
  }
}

/// Grid: units. One of keep and scores is null.
__global__ __launch_bounds__(kChoosers,
                             3) void choose_kernel(const __grid_constant__ DeviceCall call,
                                                   const __grid_constant__ Scratch scratch,
                                                   uint8_t* keep, float* scores) {
  __shared__ Shared shared;
  const int unit = static_cast<int>(blockIdx.x), head = unit % call.n_heads;
  const DeviceItem& item = call.items[unit / call.n_heads];
  const int64_t first = int64_t{unit} * call.row_capacity;
  if (item.active == 0) {
    for (int row = static_cast<int>(threadIdx.x); row < item.n_rows; row += kChoosers) {
      if (keep != nullptr) keep[first + row] = 1;
      if (scores != nullptr) scores[first + row] = INFINITY;
    }
    return;
  }

  Candidates c{call,
               item,
               candidates_of(call, item),
               scratch.tokens + first,
               scratch.order + first,
               scratch.first + first,
               scratch.second + first,
               scratch.third + first,
               scratch.chosen + first,
               scratch.ranking + first};
  const PhiloxStream random(call.seed, PhiloxStream::Purpose::kDraw, item.sequence, item.eviction,
                            item.layer, static_cast<uint32_t>(head));
  const int quota = min(call.budget - call.recency, c.n);
  int kept = keep_fixed(c, quota, shared.select);
  kept += protect(c, random, quota - kept, kept, shared.select);
  if (call.recipe.score == DeviceScore::kRedundancy) normalise_redundancy(c, shared);
  if (keep != nullptr) choose_by_score(c, random, quota - kept, kept, shared.select);

  for (int i = static_cast<int>(threadIdx.x); i < item.n_rows; i += kChoosers) {
    const int64_t row = first + c.order[i];
    const bool stays = i >= c.n || c.chosen[i] != 0;
    if (keep != nullptr) {
      keep[row] = stays ? 1 : 0;
      continue;
    }
    const float score = stays ? 0.0f : c.score(i);
    scores[row] = stays ? INFINITY : isfinite(score) ? score : NAN;
  }
}

}  // namespace

void choose_rows(const DeviceCall& call, const Scratch& scratch, uint8_t* keep, float* scores,
                 cudaStream_t stream) {
  choose_kernel<<<static_cast<unsigned>(call.units()), kChoosers, 0, stream>>>(call, scratch, keep,
                                                                               scores);
}

}  // namespace vase::cuda
