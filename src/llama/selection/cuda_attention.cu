// Attention over chosen rows on a CUDA device: the products of queries with all rows, or the bounds
// of all pages, then one block a query head and token that chooses and attends. It reads all keys
// at each step, so it is no way to be fast; it spares the way to the processor and back.
#include <cuda_fp16.h>

#include <algorithm>
#include <cfloat>
#include <map>
#include <vector>

#include "llama/keeper/cuda_device.hpp"
#include "llama/selection/device_attention.hpp"
#include "vase/cuda.h"

namespace vase {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr int kWarps = kThreads / kWarp;
constexpr int kRowsOfBlock = 64;  // that a block of products() reads
constexpr int kPage = PageBounds::kPage;
constexpr int kMostDim = VASE_CUDA_MOST_DIM;
constexpr int kMostPairs = kMostDim / 2 / kWarp;  // pairs of elements of a row that a lane holds

// Rows of f16: [dim, cells, heads, streams]; strides in bytes.
struct Rows {
  const char *data;
  int64_t cell_stride, head_stride, stream_stride;
  int dim;

  __device__ const half2 *row(int64_t stream, int head, int cell) const {
    return reinterpret_cast<const half2 *>(data + stream * stream_stride + head * head_stride +
                                           cell * cell_stride);
  }
};

struct Token {
  int64_t stream, index;
  int rows;
  int count;  // rows or pages that are chosen
  bool pages;
};

struct Work {
  Rows keys, values;
  const char *queries;  // f32 [dim, tokens, query heads, streams]
  int64_t query_token_stride, query_head_stride, query_stream_stride;
  char *out;  // f32 [dim, query heads, tokens, streams]
  int64_t out_head_stride, out_token_stride, out_stream_stride;
  int heads, query_heads;
  float scale, soft_cap;
  const float *sinks;  // nullptr: none
  const Token *tokens;
  int most_rows, most_chosen;
  float *scores;   // [tokens][query_heads][most_rows] of rows or pages
  int *chosen;     // [tokens][query_heads][most_chosen] rows or pages, ascending
  float *weights;  // the same, of rows

  __device__ const float2 *query(const Token &token, int query_head) const {
    return reinterpret_cast<const float2 *>(queries + token.stream * query_stream_stride +
                                            token.index * query_token_stride +
                                            query_head * query_head_stride);
  }
};

__device__ float warp_sum(float x) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(~0u, x, offset);
  return x;
}

// Of two elements of a query, the part that they add to a product or to a bound.
__device__ float part(float2 query, float2 low, float2 high) {
  return fmaxf(query.x * low.x, query.x * high.x) + fmaxf(query.y * low.y, query.y * high.y);
}

// The greatest product of the queries of a group with the rows [first, end), into scores[head][at].
__device__ void score(const Work &work, const Token &token, int head, int first, int end, int at,
                      float *scores) {
  const int lane = threadIdx.x % kWarp, pairs = work.keys.dim / 2;
  float2 low[kMostPairs], high[kMostPairs];
  for (int row = first; row < end; ++row) {
    const half2 *key = work.keys.row(token.stream, head, row);
#pragma unroll
    for (int i = 0; i < kMostPairs; ++i) {
      const int pair = lane + i * kWarp;
      if (pair >= pairs) continue;
      const float2 x = __half22float2(key[pair]);
      if (row == first) {
        low[i] = high[i] = x;
      } else {
        low[i] = {fminf(low[i].x, x.x), fminf(low[i].y, x.y)};
        high[i] = {fmaxf(high[i].x, x.x), fmaxf(high[i].y, x.y)};
      }
    }
  }
  const int group = work.query_heads / work.heads;
  for (int g = 0; g < group; ++g) {
    const float2 *query = work.query(token, head * group + g);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kMostPairs; ++i) {
      const int pair = lane + i * kWarp;
      if (pair < pairs) sum += part(query[pair], low[i], high[i]);
    }
    sum = warp_sum(sum);
    if (lane == 0) scores[static_cast<int64_t>(head * group + g) * work.most_rows + at] = sum;
  }
}

// Blocks of rows (x), KV heads (y) and tokens (z).
__global__ void __launch_bounds__(kThreads) products(const Work work) {
  const Token token = work.tokens[blockIdx.z];
  const int head = blockIdx.y, warp = threadIdx.x / kWarp;
  const int first = blockIdx.x * kRowsOfBlock, end = min(first + kRowsOfBlock, token.rows);
  float *scores =
      work.scores + static_cast<int64_t>(blockIdx.z) * work.query_heads * work.most_rows;
  const int step = token.pages ? kPage : 1;
  for (int row = first + warp * step; row < end; row += kWarps * step)
    score(work, token, head, row, min(row + step, end), row / step, scores);
}

// Greater numbers have greater keys; NaN has the least.
__device__ unsigned key_of(float score) {
  if (isnan(score)) return 0;
  const unsigned bits = __float_as_uint(score + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// The key of the `count`-th greatest of n scores; `equal` becomes how many of that key are taken.
__device__ unsigned threshold(const float *scores, int n, int count, int &equal) {
  __shared__ int histogram[256];
  __shared__ unsigned prefix;
  __shared__ int left;
  if (threadIdx.x == 0) {
    prefix = 0;
    left = count;
  }
  for (int shift = 24; shift >= 0; shift -= 8) {
    histogram[threadIdx.x] = 0;
    __syncthreads();
    const unsigned known = shift == 24 ? 0 : ~0u << (shift + 8);
    for (int i = threadIdx.x; i < n; i += kThreads) {
      const unsigned key = key_of(scores[i]);
      if ((key & known) == prefix) atomicAdd(&histogram[key >> shift & 255], 1);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int digit = 255;
      while (digit > 0 && histogram[digit] < left) left -= histogram[digit--];
      prefix |= static_cast<unsigned>(digit) << shift;
    }
    __syncthreads();
  }
  equal = left;
  return prefix;
}

// The number of threads before this one in the block, and in all, whose flag is set. `sums` must
// not be in use.
__device__ int rank_of(bool flag, int *sums, int &total) {
  const unsigned votes = __ballot_sync(~0u, flag);
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  __syncthreads();
  if (lane == 0) sums[warp] = __popc(votes);
  __syncthreads();
  int before = __popc(votes & ((1u << lane) - 1));
  total = 0;
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp) before += sums[w];
    total += sums[w];
  }
  return before;
}

// Writes the places of the `count` greatest scores, ascending; of equal ones the first.
__device__ void choose(const float *scores, int n, int count, int *chosen) {
  __shared__ int sums[kWarps];
  int equal;
  const unsigned least = threshold(scores, n, count, equal);
  int written = 0, equal_seen = 0;
  for (int base = 0; base < n; base += kThreads) {
    const int i = base + threadIdx.x;
    const unsigned key = i < n ? key_of(scores[i]) : 0;
    const bool is_equal = i < n && key == least;
    int total;
    const int equal_before = equal_seen + rank_of(is_equal, sums, total);
    equal_seen += total;
    const bool taken = i < n && (key > least || (is_equal && equal_before < equal));
    const int place = written + rank_of(taken, sums, total);
    if (taken) chosen[place] = i;
    written += total;
  }
  __syncthreads();
}

template <typename Fold>
__device__ float fold_block(float x, const Fold &fold) {
  __shared__ float folded[kWarps];
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    x = fold(x, __shfl_xor_sync(~0u, x, offset));
  __syncthreads();
  if (threadIdx.x % kWarp == 0) folded[threadIdx.x / kWarp] = x;
  __syncthreads();
  x = folded[0];
  for (int w = 1; w < kWarps; ++w) x = fold(x, folded[w]);
  return x;
}

__device__ int row_of(const Token &token, const int *chosen, int slot) {
  return token.pages ? chosen[slot / kPage] * kPage + slot % kPage : chosen[slot];
}

__device__ float logit_of(const Work &work, float product) {
  if (work.soft_cap == 0) return work.scale * product;
  return work.soft_cap * tanhf(work.scale / work.soft_cap * product);
}

// Blocks of query heads (x) and tokens (y).
__global__ void __launch_bounds__(kThreads) attend_to_chosen(const Work work) {
  __shared__ float partial[kWarps][kMostDim];
  const Token token = work.tokens[blockIdx.y];
  const int query_head = blockIdx.x, head = query_head / (work.query_heads / work.heads);
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const int64_t place = static_cast<int64_t>(blockIdx.y) * work.query_heads + query_head;
  const float *scores = work.scores + place * work.most_rows;
  int *chosen = work.chosen + place * work.most_chosen;
  float *weights = work.weights + place * work.most_chosen;

  const int n = token.pages ? (token.rows + kPage - 1) / kPage : token.rows;
  choose(scores, n, token.count, chosen);
  int n_rows = token.count;
  if (token.pages)  // the last page may not be full
    n_rows = (token.count - 1) * kPage + min(kPage, token.rows - chosen[token.count - 1] * kPage);

  if (token.pages) {
    const float2 *query = work.query(token, query_head);
    for (int slot = warp; slot < n_rows; slot += kWarps) {
      const half2 *key = work.keys.row(token.stream, head, row_of(token, chosen, slot));
      float sum = 0;
      for (int pair = lane; pair < work.keys.dim / 2; pair += kWarp) {
        const float2 x = __half22float2(key[pair]), q = query[pair];
        sum += q.x * x.x + q.y * x.y;
      }
      sum = warp_sum(sum);
      if (lane == 0) weights[slot] = logit_of(work, sum);
    }
  } else {
    for (int slot = threadIdx.x; slot < n_rows; slot += kThreads)
      weights[slot] = logit_of(work, scores[chosen[slot]]);
  }
  __syncthreads();

  float most = work.sinks != nullptr ? work.sinks[query_head] : -FLT_MAX;
  for (int slot = threadIdx.x; slot < n_rows; slot += kThreads) most = fmaxf(most, weights[slot]);
  most = fold_block(most, [](float a, float b) { return fmaxf(a, b); });
  float sum = 0;
  for (int slot = threadIdx.x; slot < n_rows; slot += kThreads)
    sum += weights[slot] = expf(weights[slot] - most);
  sum = fold_block(sum, [](float a, float b) { return a + b; });
  if (work.sinks != nullptr) sum += expf(work.sinks[query_head] - most);

  const int pairs = work.values.dim / 2;
  float2 mean[kMostPairs] = {};
  for (int slot = warp; slot < n_rows; slot += kWarps) {
    const half2 *value = work.values.row(token.stream, head, row_of(token, chosen, slot));
    const float weight = weights[slot];
#pragma unroll
    for (int i = 0; i < kMostPairs; ++i) {
      const int pair = lane + i * kWarp;
      if (pair >= pairs) continue;
      const float2 x = __half22float2(value[pair]);
      mean[i].x += weight * x.x;
      mean[i].y += weight * x.y;
    }
  }
#pragma unroll
  for (int i = 0; i < kMostPairs; ++i) {
    const int pair = lane + i * kWarp;
    if (pair >= pairs) continue;
    partial[warp][2 * pair] = mean[i].x;
    partial[warp][2 * pair + 1] = mean[i].y;
  }
  __syncthreads();
  auto *out = reinterpret_cast<float *>(work.out + token.stream * work.out_stream_stride +
                                        token.index * work.out_token_stride +
                                        query_head * work.out_head_stride);
  for (int d = threadIdx.x; d < work.values.dim; d += kThreads) {
    float all = 0;
    for (int w = 0; w < kWarps; ++w) all += partial[w][d];
    out[d] = all / sum;
  }
}

bool can_read(const ggml_tensor *rows) {
  return rows->type == GGML_TYPE_F16 && rows->ne[0] % 2 == 0 && rows->ne[0] <= kMostDim &&
         rows->nb[0] == sizeof(half) && rows->nb[1] % sizeof(half2) == 0 &&
         rows->nb[2] % sizeof(half2) == 0 && rows->nb[3] % sizeof(half2) == 0;
}

Rows rows_of(const ggml_tensor *rows) {
  return {static_cast<const char *>(rows->data), static_cast<int64_t>(rows->nb[1]),
          static_cast<int64_t>(rows->nb[2]), static_cast<int64_t>(rows->nb[3]),
          static_cast<int>(rows->ne[0])};
}

class CudaAttention final : public DeviceAttention {
 public:
  bool attend(const ggml_tensor *node, const AttentionShape &shape,
              std::span<const PlacedToken> tokens) override {
    const int device = device_of(node);
    if (device < 0 || !can_read(node->src[1]) || !can_read(node->src[2])) return false;
    for (const ggml_tensor *source : {node->src[0], node->src[1], node->src[2], node->src[4]})
      if (source != nullptr && device_of(source) != device) return false;
    const CurrentDevice current(device);
    Workspace &workspace = workspaces_[device];
    Work work = work_of(node, shape);
    std::vector<Token> placed;
    for (const PlacedToken &token : tokens) {
      const bool pages = token.params.selection == Selection::kQuest;
      const int count = pages ? PageBounds::pages_at(token.params.budget) : token.params.budget;
      placed.push_back({token.stream, token.index, token.rows, count, pages});
      work.most_rows = std::max(work.most_rows, token.rows);
      work.most_chosen = std::max(work.most_chosen, pages ? count * kPage : count);
    }
    workspace.take(placed, work);
    const auto n_tokens = static_cast<unsigned>(placed.size());
    const auto blocks = static_cast<unsigned>((work.most_rows + kRowsOfBlock - 1) / kRowsOfBlock);
    const cudaStream_t stream = workspace.stream.get();
    products<<<dim3(blocks, static_cast<unsigned>(work.heads), n_tokens), kThreads, 0, stream>>>(
        work);
    attend_to_chosen<<<dim3(static_cast<unsigned>(work.query_heads), n_tokens), kThreads, 0,
                       stream>>>(work);
    check_cuda(cudaGetLastError(), "selecting rows");
    workspace.stream.wait();
    return true;
  }

 private:
  // Of a device; grows with what is asked of it.
  struct Workspace {
    Stream stream;
    DeviceArray<Token> tokens;
    DeviceArray<float> scores, weights;
    DeviceArray<int> chosen;

    template <typename T>
    static T *at_least(DeviceArray<T> &array, size_t count) {
      if (array.size() < count) {
        array = {};  // gives back before it takes
        array = DeviceArray<T>(count + count / 2);
      }
      return array.data();
    }

    void take(const std::vector<Token> &placed, Work &work) {
      const size_t heads = placed.size() * static_cast<size_t>(work.query_heads);
      const size_t n_chosen = heads * static_cast<size_t>(work.most_chosen);
      work.scores = at_least(scores, heads * static_cast<size_t>(work.most_rows));
      work.chosen = at_least(chosen, n_chosen);
      work.weights = at_least(weights, n_chosen);
      Token *to = at_least(tokens, placed.size());
      check_cuda(cudaMemcpyAsync(to, placed.data(), placed.size() * sizeof(Token),
                                 cudaMemcpyHostToDevice, stream.get()),
                 "selecting rows");
      work.tokens = to;
    }
  };

  static Work work_of(const ggml_tensor *node, const AttentionShape &shape) {
    const ggml_tensor *q = node->src[0];
    Work work{};
    work.keys = rows_of(node->src[1]);
    work.values = rows_of(node->src[2]);
    work.queries = static_cast<const char *>(q->data);
    work.query_token_stride = static_cast<int64_t>(q->nb[1]);
    work.query_head_stride = static_cast<int64_t>(q->nb[2]);
    work.query_stream_stride = static_cast<int64_t>(q->nb[3]);
    work.out = static_cast<char *>(node->data);
    work.out_head_stride = static_cast<int64_t>(node->nb[1]);
    work.out_token_stride = static_cast<int64_t>(node->nb[2]);
    work.out_stream_stride = static_cast<int64_t>(node->nb[3]);
    work.heads = shape.n_heads;
    work.query_heads = shape.n_query_heads;
    work.scale = shape.scale;
    work.soft_cap = shape.soft_cap;
    work.sinks = node->src[4] != nullptr ? static_cast<const float *>(node->src[4]->data) : nullptr;
    return work;
  }

  std::map<int, Workspace> workspaces_;
};

}  // namespace

std::unique_ptr<DeviceAttention> make_device_attention() {
  return std::make_unique<CudaAttention>();
}

}  // namespace vase
