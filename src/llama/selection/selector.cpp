#include "llama/selection/selector.hpp"

#include <algorithm>
#include <exception>

#include "ggml-backend.h"
#include "llama/graph/op_parameters.hpp"
#include "llama/graph/views.hpp"
#include "llama/graph/watcher.hpp"

namespace vase {
namespace {

bool on_host(const ggml_tensor *tensor) {
  return ggml_backend_buffer_is_host(storage_of(tensor)->buffer);
}

// The first byte of a tensor that `copy` holds if it does not lie on the host.
const std::byte *read(const ggml_tensor *tensor, std::vector<std::byte> &copy) {
  if (on_host(tensor)) return static_cast<const std::byte *>(tensor->data);
  const ggml_tensor *storage = storage_of(tensor);
  copy.resize(ggml_nbytes(storage));
  ggml_backend_tensor_get(storage, copy.data(), 0, copy.size());
  return copy.data() + (tensor->view_src != nullptr ? tensor->view_offs : 0);
}

// Layers with a sliding window are told from the others by the number of their cells, which
// llama.cpp pads.
void check_windows(const llama_context *context, int32_t cells) {
  constexpr int64_t kCellPadding = 256;
  const int64_t window = llama_model_n_swa(llama_get_model(context));
  const int64_t enough = window + llama_n_ubatch(context) + kCellPadding;
  if (window == 0 || cells > enough) return;
  throw Error("a selection cannot tell this model's sliding windows of " + std::to_string(window) +
              " tokens from a cache of " + std::to_string(cells) + "; take one of more than " +
              std::to_string(enough) + ", or a smaller --ubatch-size");
}

}  // namespace

#ifndef VASE_CUDA
std::unique_ptr<DeviceAttention> make_device_attention() { return nullptr; }
#endif

Selector::Selector(int32_t n_threads)
    : pool_(std::max(n_threads, 1)), device_(make_device_attention()) {}

void Selector::listen(llama_context_params &params) {
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;  // attention is one node then
  params.op_offload = false;  // else a large step's attention reads copies of the cache
  params.cb_eval = callback;
  params.cb_eval_user_data = this;
}

void Selector::attach(const BoundedContext &context) {
  const int32_t cells = context.cells_per_sequence();
  const int32_t n_sequences = context.options().n_sequences;
  discovery_.emplace(cells, n_sequences, compatibility());
  attention_layers_ = 0;
  discovering_ = true;
  const int32_t status = decode_one_token(context.get());
  discovering_ = false;
  if (status != 0) {
    throw Error("llama_decode failed on the first token (status " + std::to_string(status) + ")");
  }
  discovery_->finish();
  check();
  check_windows(context.get(), cells);
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer &layer = layers_[i];
    layer.cache = discovery_->layers()[i];
    for (int32_t sequence = 0; sequence < n_sequences; ++sequence) {
      layer.keys.emplace_back(layer.cache.keys, sequence);
      layer.values.emplace_back(layer.cache.values, sequence);
      layer.bounds.emplace_back(static_cast<size_t>(layer.cache.n_heads),
                                PageBounds(layer.cache.keys.rows.dim));
    }
  }
  placements_.emplace(cells);
  sequences_.assign(static_cast<size_t>(n_sequences), {});
}

void Selector::select(int32_t sequence, std::optional<SelectionParams> params) {
  if (params && params->selection == Selection::kQuest) {
    if (params->budget < PageBounds::kLeastRows)
      throw Error("quest reads at least " + std::to_string(PageBounds::kLeastRows) +
                  " rows, three pages, and the budget is " + std::to_string(params->budget));
    // llama.cpp turns keys before it quantises them, and bounds by element do not survive that.
    if (!layers_.empty() && ggml_is_quantized(layers_.front().cache.keys.tensor->type))
      throw Error(
          "quest bounds keys element by element, which a quantised cache does not have as "
          "they were: use -ctk f16");
  }
  sequences_.at(static_cast<size_t>(sequence)).params = params;
}

void Selector::set_prompt_end(int32_t sequence, int64_t tokens) {
  sequences_.at(static_cast<size_t>(sequence)).prompt_end = tokens;
}

void Selector::check() {
  check_step();
  if (failure_.empty()) return;
  const Error error(failure_);
  failure_.clear();
  throw error;
}

// Rather an error than a step that read all rows.
void Selector::check_step() {
  if (!selecting_.empty() && seen_layers_ < layers_.size() && failure_.empty())
    failure_ = "llama.cpp computed the attention of " +
               std::to_string(layers_.size() - seen_layers_) + " of " +
               std::to_string(layers_.size()) +
               " layers from copies of the cache, where nothing can be selected: put all layers on "
               "the GPU (-ngl all), or none";
  selecting_.clear();
}

// llama.cpp is the caller: nothing is thrown.
bool Selector::callback(ggml_tensor *node, bool ask, void *selector) {
  auto *self = static_cast<Selector *>(selector);
  if (ask) return self->ask(node);
  try {
    self->compute(node);
  } catch (const std::exception &error) {
    if (self->failure_.empty()) self->failure_ = error.what();
  }
  return true;
}

bool Selector::ask(ggml_tensor *node) noexcept {
  try {
    if (discovering_) {
      discover(node);
      return false;
    }
    if (!placements_) return false;
    if (node->op == GGML_OP_SET_ROWS && node->view_src == discovery_->first_written())
      begin_ubatch(node->src[1]);
    if (node->op != GGML_OP_FLASH_ATTN_EXT || selecting_.empty()) return false;
    const ptrdiff_t number = discovery_->layer_of(node);
    if (number < 0) return false;
    ++seen_layers_;
    const Layer &layer = layers_[static_cast<size_t>(number)];
    now_ = selecting_;
    std::erase_if(now_, [&](const Selecting &token) {
      return token.params.reads_all(layer.number, token.rows);
    });
    return !now_.empty();
  } catch (const std::exception &error) {
    if (failure_.empty()) failure_ = error.what();
    return false;
  }
}

void Selector::discover(const ggml_tensor *node) {
  discovery_->see(node);
  if (node->op != GGML_OP_FLASH_ATTN_EXT) return;
  if (discovery_->layers().size() > layers_.size()) {
    check_layer(node, discovery_->layers().back());
    layers_.emplace_back().number = attention_layers_;
  }
  ++attention_layers_;
}

void Selector::check_layer(const ggml_tensor *node, const CacheLayer &layer) {
  if (!layer.carried.empty() || layer.chooser)
    throw Error("an indexer of this model chooses what a step reads already");
  if (node->type != GGML_TYPE_F32 || !ggml_is_contiguous(node))
    throw Error("this llama.cpp writes attention in another way than expected; use version 0.3.36");
}

// Which of the tokens select. The cells of a sequence are in the order of its tokens, since none is
// ever freed but the newest ones and all together: the cell of a token is its position, and it
// reads the rows up to it. The tokens of a ubatch are a sequence after another, equally many of
// each.
void Selector::begin_ubatch(ggml_tensor *indices) {
  placements_->begin_decode();
  placements_->begin_ubatch(indices);
  check_step();
  seen_layers_ = 0;
  int64_t stream = -1, index = 0;
  int32_t previous = -1;
  for (const Placement &placement : placements_->of_ubatch()) {
    Sequence &sequence = sequences_.at(static_cast<size_t>(placement.sequence));
    if (placement.sequence != previous) {
      previous = placement.sequence;
      ++stream;
      index = 0;
      for (Layer &layer : layers_) {
        const auto at = static_cast<size_t>(placement.sequence);
        layer.keys[at].forget_from(placement.cell);
        layer.values[at].forget_from(placement.cell);
        for (PageBounds &bounds : layer.bounds[at]) bounds.forget_from(placement.cell);
      }
      if (placement.cell < sequence.rows) sequence.rows = placement.cell;
    }
    if (placement.cell != sequence.rows)
      throw Error("sequence " + std::to_string(placement.sequence) + " got cell " +
                  std::to_string(placement.cell) + " for token " + std::to_string(sequence.rows) +
                  ": a selection needs the rows in the order of the text");
    ++sequence.rows;
    if (sequence.params && placement.cell >= sequence.prompt_end)
      selecting_.push_back({{*sequence.params, stream, index, sequence.rows}, placement.sequence});
    ++index;
  }
}

DecodedToken Selector::token_of(Layer &layer, const Selecting &selecting) {
  const auto at = static_cast<size_t>(selecting.sequence);
  DecodedToken token{.params = selecting.params,
                     .rows = selecting.rows,
                     .keys = layer.keys[at].see(sequences_[at].rows),
                     .values = layer.values[at].see(sequences_[at].rows),
                     .bounds = layer.bounds[at]};
  if (token.params.selection == Selection::kQuest)
    for (size_t head = 0; head < layer.bounds[at].size(); ++head)
      layer.bounds[at][head].read(token.keys, static_cast<int32_t>(head), token.rows);
  return token;
}

void Selector::compute(ggml_tensor *node) {
  Layer &layer = layers_[static_cast<size_t>(discovery_->layer_of(node))];
  AttentionShape shape{.n_heads = layer.cache.n_heads,
                       .n_query_heads = layer.cache.n_query_heads,
                       .scale = layer.cache.scale,
                       .soft_cap = AttentionParameters(node).soft_cap,
                       .sinks = {}};
  if (device_) {
    const std::vector<PlacedToken> placed(now_.begin(), now_.end());
    if (device_->attend(node, shape, placed)) return;
  }
  compute_on_host(node, layer, shape);
}

void Selector::compute_on_host(ggml_tensor *node, Layer &layer, AttentionShape &shape) {
  const ggml_tensor *q = node->src[0];
  if (const ggml_tensor *sinks = node->src[4]; sinks != nullptr) {
    sinks_.resize(static_cast<size_t>(shape.n_query_heads));
    ggml_backend_tensor_get(sinks, sinks_.data(), 0, sinks_.size() * sizeof(float));
    shape.sinks = sinks_;
  }
  const std::byte *queries = read(q, queries_);
  float *out = static_cast<float *>(node->data);  // [dim, query heads, tokens, streams]
  const bool in_place = on_host(node);
  if (!in_place) {
    out_.resize(static_cast<size_t>(ggml_nelements(node)));
    out = out_.data();
    ggml_backend_tensor_get(node, out, 0, ggml_nbytes(node));
  }

  std::vector<DecodedToken> tokens;
  for (const Selecting &selecting : now_) {
    DecodedToken token = token_of(layer, selecting);
    const auto stream = static_cast<size_t>(selecting.stream);
    const auto index = static_cast<size_t>(selecting.index);
    token.queries = queries + stream * q->nb[3] + index * q->nb[1];
    token.query_stride = q->nb[2];
    token.out = out + (stream * node->nb[3] + index * node->nb[2]) / sizeof(float);
    tokens.push_back(token);
  }
  attend(shape, tokens, pool_);
  if (!in_place) ggml_backend_tensor_set(node, out, 0, ggml_nbytes(node));
}

}  // namespace vase
