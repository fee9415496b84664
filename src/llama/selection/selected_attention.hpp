// Attention over chosen rows, on the processor.
#ifndef VASE_LLAMA_SELECTION_SELECTED_ATTENTION_HPP
#define VASE_LLAMA_SELECTION_SELECTED_ATTENTION_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/selection.hpp"
#include "core/thread_pool.hpp"
#include "llama/selection/page_bounds.hpp"
#include "vase/vase.h"

namespace vase {

/// Which rows a step reads.
struct SelectionParams {
  Selection selection = Selection::kOracle;
  int32_t budget = 0;  ///< rows
  /// Whether a step in a layer has all of its `rows` rows read. `layer`: of the attention layers
  /// of the model.
  bool reads_all(int32_t layer, int32_t rows) const;
};

/// What is the same for all queries of a layer.
struct AttentionShape {
  int32_t n_heads = 0;  ///< KV heads
  int32_t n_query_heads = 0;
  float scale = 0;               ///< of the products
  float soft_cap = 0;            ///< c: a logit l becomes c tanh(l / c); 0: none
  std::span<const float> sinks;  ///< [n_query_heads] logits that take a share and have no value
};

/// The queries of a token, and where its attention goes.
struct DecodedToken {
  SelectionParams params;
  int32_t rows = 0;  ///< that it may read: of the tokens up to itself, its own included
  vase_rows keys{}, values{};
  std::span<const PageBounds> bounds;  ///< [n_heads]; the full pages of `rows` have been read
  const std::byte *queries = nullptr;  ///< f32 [n_query_heads][keys.dim]
  size_t query_stride = 0;             ///< bytes from a head to the next
  float *out = nullptr;                ///< [n_query_heads][values.dim]
};

/// The rows that the queries ([n_query_heads][keys.dim], as DecodedToken has them) of one head
/// read.
std::vector<int32_t> choose_rows(const AttentionShape &shape, const DecodedToken &token,
                                 int32_t query_head);

/// Computes the attention of each token over the rows that each of its query heads chooses: softmax
/// of scale * q k (soft cap, sinks), f32 throughout.
void attend(const AttentionShape &shape, std::span<const DecodedToken> tokens, ThreadPool &pool);

}  // namespace vase

#endif
