#include "llama/graph/discovery.hpp"

#include <algorithm>
#include <cstring>

#include "llama/graph/op_parameters.hpp"
#include "llama/graph/position_table.hpp"
#include "llama/graph/rotations.hpp"
#include "llama/graph/views.hpp"
#include "vase/llama.hpp"

namespace vase {
namespace {

// The view of the cache that an attention node reads. llama.cpp puts a conversion in between when
// the cache is f32.
const ggml_tensor *cache_view(const ggml_tensor *operand) {
  while (operand->view_src == nullptr && operand->op == GGML_OP_CPY) operand = operand->src[0];
  return operand;
}

CacheRows rows_of_view(const ggml_tensor *view, int32_t rotation, const char *what) {
  // A view is [dim, cells, heads, streams]; the first stream it shows may be any.
  CacheRows rows;
  rows.tensor = view->view_src;
  rows.offset = static_cast<int64_t>(view->view_offs % rows.tensor->nb[2]);
  rows.rows.type = row_type(view->type, what);
  rows.rows.dim = static_cast<int32_t>(view->ne[0]);
  rows.rows.row_stride = static_cast<int64_t>(view->nb[1]);
  rows.rows.head_stride = static_cast<int64_t>(view->nb[2]);
  rows.rows.rotation = rotation;
  return rows;
}

// By its name, since an older ggml has no such operation.
bool is_indexer(const ggml_tensor *node) {
  return std::strcmp(ggml_op_name(node->op), "LIGHTNING_INDEXER") == 0;
}

Rope unknown_rope() {
  Rope rope;
  rope.unknown = true;
  return rope;
}

}  // namespace

Discovery::Discovery(int32_t cells, int32_t n_sequences, const Compatibility &compatible)
    : cells_(cells),
      n_sequences_(n_sequences),
      rope_layout_(compatible.rope_layout),
      attention_layout_(compatible.attention_layout) {}

void Discovery::see(const ggml_tensor *node) noexcept {
  try {
    position_table_ = std::max(position_table_, position_table_rows(node));
    if (node->op == GGML_OP_SET_ROWS) see_write(node);
    if (is_indexer(node)) see_indexer(node);
    if (node->op == GGML_OP_FLASH_ATTN_EXT && refusal_.empty()) see_attention(node);
  } catch (const std::exception &error) {
    if (refusal_.empty()) refusal_ = error.what();
  }
}

void Discovery::finish() {
  const Error picks_other_rows(
      "this model cannot be bounded: an indexer of it picks blocks of rows or pooled ones, which "
      "belong to no single token");
  if (picks_other_rows_) throw picks_other_rows;
  if (!refusal_.empty()) throw Error(refusal_);
  if (layers_.empty())
    throw Error(
        "no layer of this model can be bounded: none reads a cache of the whole context by flash "
        "attention");
  // A bounded cache whose rows are not known to belong to single tokens, such as the key cache of
  // an indexer that picks blocks of rows or pools them, would fall out of step with rows that move.
  for (const Storage &storage : storages_) {
    if (!is_bounded(storage.tensor) || storage.indexer.tensor != nullptr) continue;
    const bool known = std::any_of(layers_.begin(), layers_.end(), [&](const CacheLayer &layer) {
      return layer.keys.tensor == storage.tensor || layer.values.tensor == storage.tensor;
    });
    if (!known) throw picks_other_rows;
  }
  for (const Storage &storage : storages_)
    if (is_bounded(storage.tensor) && storage.indices->type != GGML_TYPE_I64)
      throw Error("this llama.cpp numbers cells in another way than expected; use version 0.3.36");
  // An attention layer's cache first: it tells the cells of all.
  std::stable_partition(storages_.begin(), storages_.end(), [&](const Storage &storage) {
    return is_bounded(storage.tensor) && storage.indexer.tensor == nullptr;
  });
}

bool Discovery::is_bounded(const ggml_tensor *storage) const {
  // Sliding-window layers have fewer cells; shape_context() sees to that.
  return storage->op == GGML_OP_NONE && storage->ne[1] == cells_ && storage->ne[2] == n_sequences_;
}

void Discovery::see_write(const ggml_tensor *node) {
  const ggml_tensor *storage = storage_of(node);
  if (storage_behind(node) != nullptr || storage->op != GGML_OP_NONE) return;
  storages_.push_back({storage,
                       hadamard_block_of(node->src[0]),
                       rope_layout_ ? rope_of(node->src[0]) : unknown_rope(),
                       node->src[1],
                       {}});
}

const Discovery::Storage *Discovery::storage_behind(const ggml_tensor *view) const {
  const auto found = std::ranges::find(storages_, storage_of(view), &Storage::tensor);
  return found == storages_.end() ? nullptr : &*found;
}

// An indexer reads the keys that it has of each token, and the attention layers behind it read the
// rows that it names, until another one speaks.
void Discovery::see_indexer(const ggml_tensor *node) {
  const ggml_tensor *view = node->src[1];
  const auto storage = std::ranges::find(storages_, storage_of(view), &Storage::tensor);
  // What it reads is no row of a token: it was computed, or lies in a cache of another length.
  if (storage == storages_.end() || !is_bounded(storage->tensor) || view->view_src == nullptr ||
      view->ne[1] != 1) {
    picks_other_rows_ = true;
    return;
  }
  // A view is [dim, heads, cells, streams].
  CacheRows rows;
  rows.tensor = view->view_src;
  rows.offset = static_cast<int64_t>(view->view_offs % rows.tensor->nb[2]);
  rows.rows.type = row_type(view->type, "indexer's keys");
  rows.rows.dim = static_cast<int32_t>(view->ne[0]);
  rows.rows.row_stride = static_cast<int64_t>(view->nb[2]);
  rows.rows.head_stride = static_cast<int64_t>(view->nb[1]);
  storage->indexer = indexer_ = rows;
  carrier_.reset();
}

// One choice for all that is read by one indexer's word, since it names cells.
void Discovery::heed_indexer(CacheLayer &layer) {
  if (indexer_.tensor == nullptr) return;
  if (layer.n_heads != 1)
    throw Error("this model cannot be bounded: an indexer of it speaks for " +
                std::to_string(layer.n_heads) + " heads, which would keep rows of their own");
  if (carrier_) {
    layer.chooser = *carrier_;
  } else {
    carrier_ = layers_.size();
    layer.carried.push_back(indexer_);
  }
}

void Discovery::see_attention(const ggml_tensor *node) {
  const ggml_tensor *queries = node->src[0];
  const ggml_tensor *keys = cache_view(node->src[1]);
  const ggml_tensor *values = cache_view(node->src[2]);
  // The scheduler hands a device that cannot reach the cache a copy of its rows.
  if (keys->view_src == nullptr && keys->op == GGML_OP_NONE)
    throw Error(
        "a layer of this model cannot be bounded: its cache lies on another device than its "
        "attention, which is given a copy of all rows at each step (no flash attention for heads "
        "of " +
        std::to_string(keys->ne[0]) +
        " elements on the GPU?); leave the model on the CPU (-ngl 0)");
  if (!is_bounded(storage_of(keys)) || layer_of(node) >= 0) return;

  if (!attention_layout_)
    throw Error("this ggml notes attention in another way than expected; use llama.cpp of 0.3.36");
  const AttentionParameters attention(node);
  if (attention.max_alibi_bias != 0.0f)
    throw Error("this model uses ALiBi, which is not supported");
  // A logit soft cap and attention sinks (src[4]) are left out of the scores: the cap keeps the
  // order of a query's logits, and a sink takes the same share of all rows.
  if (queries->type != GGML_TYPE_F32 || queries->nb[0] != sizeof(float))
    throw Error("this model's queries are not f32, which is not supported");
  const Storage *key_storage = storage_behind(keys), *value_storage = storage_behind(values);
  CacheLayer layer;
  layer.keys = rows_of_view(keys, key_storage ? key_storage->rotation : 0, "keys");
  layer.values = rows_of_view(values, value_storage ? value_storage->rotation : 0, "values");
  if (key_storage != nullptr) layer.rope = key_storage->rope;
  layer.n_heads = static_cast<int32_t>(keys->ne[2]);
  layer.n_query_heads = static_cast<int32_t>(queries->ne[2]);
  layer.scale = attention.scale;
  heed_indexer(layer);
  layers_.push_back(layer);
  queries_.push_back(queries);
}

ptrdiff_t Discovery::layer_of(const ggml_tensor *attention) const {
  const ggml_tensor *storage = storage_of(cache_view(attention->src[1]));
  for (size_t layer = 0; layer < layers_.size(); ++layer)
    if (layers_[layer].keys.tensor == storage) return static_cast<ptrdiff_t>(layer);
  return -1;
}

size_t Discovery::cache_bytes() const {
  size_t bytes = 0;
  for (const Storage &storage : storages_) bytes += ggml_nbytes(storage.tensor);
  return bytes;
}

}  // namespace vase
