#include "llama/graph/watcher.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

#include "ggml-backend.h"
#include "llama/graph/op_parameters.hpp"
#include "llama/graph/rotations.hpp"
#include "llama/graph/views.hpp"
#include "llama/plan/context_shape.hpp"

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

}  // namespace

Watcher::Watcher(int32_t cells, int32_t n_sequences)
    : cells_(cells),
      n_sequences_(n_sequences),
      token_count_(static_cast<size_t>(n_sequences)),
      wanted_from_(static_cast<size_t>(n_sequences), std::numeric_limits<int64_t>::max()) {}

bool Watcher::callback(ggml_tensor *node, bool ask, void *watcher) {
  auto *self = static_cast<Watcher *>(watcher);
  if (ask) return self->ask(node);
  const CacheLayer *layer = self->layer_of(node);
  const LayerQueries stopped{self->index_of(*layer), node->src[0]};
  self->store_queries({&stopped, 1});
  return true;
}

bool Watcher::ask(ggml_tensor *node) {
  if (queries_ != nullptr && node->view_src != nullptr) query_taps_.see_view(node);
  if (node->op == GGML_OP_SET_ROWS) {
    if (discovering_) discover_write(node);
    // All bounded layers get a ubatch into the same cells, so the first write tells them all.
    if (!discovering_ && node->view_src == storages_.front().tensor) begin_ubatch(node->src[1]);
    return false;
  }
  if (node->op != GGML_OP_FLASH_ATTN_EXT) return false;
  if (discovering_) discover_attention(node);
  return queries_ != nullptr && ask_for_queries(node);
}

// Whether the graph must stop here: it costs time, so only where queries are wanted that will be
// overwritten. Layers that share a cache tensor show several attention nodes; the first one speaks
// for them.
bool Watcher::ask_for_queries(const ggml_tensor *attention) {
  const CacheLayer *found = layer_of(attention);
  if (found == nullptr || seen_[index_of(*found)]) return false;
  const size_t layer = index_of(*found);
  seen_[layer] = true;
  if (query_taps_.hold(layer, attention->src[0])) {
    held_queries_.push_back(held_in(layer, attention->src[0]));
    return false;
  }
  query_taps_.plan(layer, attention->src[0]);
  return !wanted_.empty();
}

// ---- discovery ----------------------------------------------------------------------------------

void Watcher::begin_discovery() { discovering_ = true; }

void Watcher::end_discovery() {
  discovering_ = false;
  if (!refusal_.empty()) throw Error(refusal_);
  if (layers_.empty())
    throw Error(
        "no layer of this model can be bounded: none reads a cache of the whole context by flash "
        "attention");
  // A bounded cache that no attention layer was seen reading (such as the key cache of an indexer
  // that picks rows) would fall out of step with the rows that are moved.
  for (const Storage &storage : storages_) {
    if (!is_bounded(storage.tensor)) continue;
    const bool known = std::any_of(layers_.begin(), layers_.end(), [&](const CacheLayer &layer) {
      return layer.keys.tensor == storage.tensor || layer.values.tensor == storage.tensor;
    });
    if (!known)
      throw Error("this model cannot be bounded: its cache tensor " +
                  std::string(storage.tensor->name) + " is not read by flash attention");
  }
  // begin_ubatch() listens to the first bounded tensor that is written.
  std::stable_partition(storages_.begin(), storages_.end(),
                        [&](const Storage &storage) { return is_bounded(storage.tensor); });
  cell_tap_.add(storages_.front().indices);
  cell_tap_.allocate(n_sequences_);
}

bool Watcher::is_bounded(const ggml_tensor *storage) const {
  // Sliding-window layers have fewer cells; shape_context() sees to that.
  return storage->op == GGML_OP_NONE && storage->ne[1] == cells_ && storage->ne[2] == n_sequences_;
}

void Watcher::discover_write(const ggml_tensor *node) {
  const ggml_tensor *storage = storage_of(node);
  const bool known = std::any_of(storages_.begin(), storages_.end(),
                                 [&](const Storage &other) { return other.tensor == storage; });
  if (known || storage->op != GGML_OP_NONE) return;
  storages_.push_back(
      {storage, hadamard_block_of(node->src[0]), rope_of(node->src[0]), node->src[1]});
  if (node->src[1]->type != GGML_TYPE_I64 && refusal_.empty())
    refusal_ = "this llama.cpp numbers cells in another way than expected; use version 0.3.36";
}

const Watcher::Storage *Watcher::storage_behind(const ggml_tensor *view) const {
  const auto found = std::ranges::find(storages_, storage_of(view), &Storage::tensor);
  return found == storages_.end() ? nullptr : &*found;
}

void Watcher::discover_attention(const ggml_tensor *node) {
  const ggml_tensor *queries = node->src[0];
  const ggml_tensor *keys = cache_view(node->src[1]);
  const ggml_tensor *values = cache_view(node->src[2]);
  if (!is_bounded(storage_of(keys)) || layer_of(node) != nullptr || !refusal_.empty()) return;

  const Storage *key_storage = storage_behind(keys), *value_storage = storage_behind(values);
  try {
    if (float_parameter(node, 1) != 0.0f)
      throw Error("this model uses ALiBi, which is not supported");
    // A logit soft cap (op_params[2]) and attention sinks (src[4]) are left out of the scores: the
    // cap keeps the order of a query's logits, and a sink takes the same share of all rows.
    if (queries->type != GGML_TYPE_F32 || queries->nb[0] != sizeof(float))
      throw Error("this model's queries are not f32, which is not supported");
    CacheLayer layer;
    layer.keys = rows_of_view(keys, key_storage ? key_storage->rotation : 0, "keys");
    layer.values = rows_of_view(values, value_storage ? value_storage->rotation : 0, "values");
    if (key_storage != nullptr) layer.rope = key_storage->rope;
    layer.n_heads = static_cast<int32_t>(keys->ne[2]);
    layer.n_query_heads = static_cast<int32_t>(queries->ne[2]);
    layer.scale = float_parameter(node, 0);
    layers_.push_back(layer);
    query_taps_.add(queries);
  } catch (const Error &error) {
    refusal_ = error.what();  // no exception may cross llama.cpp
  }
}

const CacheLayer *Watcher::layer_of(const ggml_tensor *attention) const {
  const ggml_tensor *storage = storage_of(cache_view(attention->src[1]));
  for (const CacheLayer &layer : layers_)
    if (layer.keys.tensor == storage) return &layer;
  return nullptr;
}

size_t Watcher::cache_bytes() const {
  size_t bytes = 0;
  for (const Storage &storage : storages_) bytes += ggml_nbytes(storage.tensor);
  return bytes;
}

// ---- placements and queries ---------------------------------------------------------------------

void Watcher::capture_queries(QueryStore *store) {
  queries_ = store;
  seen_.resize(layers_.size());
  // A larger ubatch is a piece of a prompt, which takes long beside a few stops.
  if (store != nullptr) query_taps_.allocate(n_sequences_);
}

// A batch of the sequences of the one before goes through as that did. If all that is to be known
// of it is held, the callback is not needed; should llama.cpp build another graph after all, it
// sets the callback itself.
void Watcher::begin_decode(std::span<const llama_seq_id> sequences) {
  asleep_ = switch_.can_turn() && all_held() && std::ranges::equal(sequences, batch_);
  batch_.assign(sequences.begin(), sequences.end());
  switch_.turn(!asleep_);
  placements_.clear();
  cell_tap_.forget();
  query_taps_.forget();
  ubatches_ = 0;
}

void Watcher::end_decode(bool succeeded) {
  if (succeeded) {
    if (ubatches_ == 0 && asleep_) read_ubatch(&held_indices_->tensor);
    store_held();
    // Of several graphs only the last is still there, and which nodes are its own is not known.
    if (ubatches_ == 1) {
      cell_tap_.redirect();
      query_taps_.redirect();
    }
  } else {
    placements_.clear();
    held_indices_.reset();
  }
  wanted_.clear();
}

bool Watcher::all_held() const {
  return ubatches_ == 1 && held_indices_.has_value() &&
         (queries_ == nullptr || held_queries_.size() == layers_.size());
}

Watcher::Held Watcher::held_in(size_t tap, const ggml_tensor *tensor) {
  Held held{tap, *tensor};
  held.tensor.view_src = nullptr;  // may be gone when this is read
  held.tensor.view_offs = 0;       // is in the address already
  return held;
}

void Watcher::want_queries_from(int32_t sequence, int64_t token_index) {
  wanted_from_[static_cast<size_t>(sequence)] = token_index;
}

void Watcher::set_token_count(int32_t sequence, int64_t tokens) {
  token_count_[static_cast<size_t>(sequence)] = tokens;
}

void Watcher::begin_ubatch(ggml_tensor *indices) {
  store_held();
  held_queries_.clear();
  held_indices_.reset();
  if (cell_tap_.hold(0, indices))
    held_indices_ = held_in(0, indices);
  else
    cell_tap_.plan(0, indices);
  read_ubatch(indices);
}

void Watcher::read_ubatch(const ggml_tensor *indices) {
  ++ubatches_;
  const auto count = static_cast<size_t>(ggml_nelements(indices));
  indices_.resize(count);
  ggml_backend_tensor_get(indices, indices_.data(), 0, count * sizeof(int64_t));

  // A ubatch holds the same number of tokens of each of its sequences, one sequence after another.
  wanted_.clear();
  int64_t stream = -1, token = 0;
  int32_t previous = -1;
  for (const int64_t index : indices_) {
    const auto sequence = static_cast<int32_t>(index / cells_);
    const auto s = static_cast<size_t>(sequence);
    if (sequence != previous) {
      ++stream;
      token = 0;
      previous = sequence;
    }
    placements_.push_back({sequence, static_cast<int32_t>(index % cells_)});
    const int64_t token_index = token_count_[s]++;
    if (queries_ != nullptr && token_index >= wanted_from_[s])
      wanted_.push_back(
          {stream, token, sequence, static_cast<int32_t>(token_index % queries_->window())});
    ++token;
  }
  std::fill(seen_.begin(), seen_.end(), false);
}

void Watcher::store_queries(std::span<const LayerQueries> layers) {
  const auto start = std::chrono::steady_clock::now();
  queries_->store(layers, wanted_);
  capture_seconds_ +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// What is held is there by now: the scheduler waits for a graph that has a callback, and the caller
// of end_decode() has waited for one that has none.
void Watcher::store_held() {
  if (wanted_.empty() || held_queries_.empty()) return;
  std::vector<LayerQueries> layers;
  for (const Held &held : held_queries_) layers.push_back({held.tap, &held.tensor});
  store_queries(layers);
}

}  // namespace vase
