#include "llama/graph/watcher.hpp"

#include <algorithm>

#include "llama.h"

namespace vase {

Watcher::Watcher(int32_t cells, int32_t n_sequences, const Compatibility &compatible)
    : compatible_(compatible),
      n_sequences_(n_sequences),
      discovery_(cells, n_sequences, compatible),
      placements_(cells) {}

bool Watcher::callback(ggml_tensor *node, bool ask, void *watcher) {
  auto *self = static_cast<Watcher *>(watcher);
  if (ask) return self->ask(node);
  self->query_tap_.store_stopped(static_cast<size_t>(self->discovery_.layer_of(node)), node);
  return true;
}

bool Watcher::ask(ggml_tensor *node) {
  if (discovering_) {
    discovery_.see(node);
    return false;
  }
  if (query_tap_.started()) query_tap_.see(node);
  if (node->op == GGML_OP_SET_ROWS && node->view_src == discovery_.first_written()) {
    placements_.begin_ubatch(node->src[1]);
    if (query_tap_.started()) query_tap_.begin_ubatch(placements_.of_ubatch());
  }
  if (node->op != GGML_OP_FLASH_ATTN_EXT || !query_tap_.started()) return false;
  const ptrdiff_t layer = discovery_.layer_of(node);
  return layer >= 0 && query_tap_.must_stop_at(static_cast<size_t>(layer), node);
}

void Watcher::begin_discovery() { discovering_ = true; }

void Watcher::end_discovery() {
  discovering_ = false;
  discovery_.finish();
  if (compatible_.taps) placements_.hold_like(discovery_.indices(), n_sequences_);
}

void Watcher::capture_queries(QueryStore *store) {
  // A ubatch of more tokens is a piece of a prompt, which takes long beside a few stops.
  if (store != nullptr)
    query_tap_.start(store, discovery_.queries(), compatible_.taps ? n_sequences_ : 0);
}

void Watcher::sleep_by(const CallbackSwitch &callback_switch) {
  if (compatible_.callback_switch) switch_ = callback_switch;
}

// A batch of the sequences of the one before goes through as that did. If all that is to be known
// of it is held, the callback is not needed; should llama.cpp build another graph after all, it
// sets the callback itself.
void Watcher::begin_decode(std::span<const llama_seq_id> sequences,
                           std::span<const QueryWish> wishes) {
  asleep_ = switch_.can_turn() && all_held() && !sequences.empty() &&
            std::ranges::equal(sequences, batch_);
  batch_.assign(sequences.begin(), sequences.end());
  switch_.turn(!asleep_);
  placements_.begin_decode();
  query_tap_.begin_decode(wishes);
}

void Watcher::end_decode(bool succeeded) {
  if (!succeeded) {
    placements_.fail();
    query_tap_.end_decode(false, false);
    return;
  }
  if (placements_.ubatches() == 0 && asleep_) {
    placements_.repeat_ubatch();
    if (query_tap_.started()) query_tap_.repeat_ubatch(placements_.of_ubatch());
  }
  // Of several graphs only the last is still there, and which nodes are its own is not known.
  const bool one_graph = placements_.ubatches() == 1;
  query_tap_.end_decode(true, one_graph);
  if (one_graph) placements_.redirect();
}

int32_t decode_one_token(llama_context *context) {
  const llama_vocab *vocab = llama_model_get_vocab(llama_get_model(context));
  llama_token token = llama_vocab_bos(vocab);
  if (token < 0 || token >= llama_vocab_n_tokens(vocab)) token = 0;
  const int32_t status = llama_decode(context, llama_batch_get_one(&token, 1));
  llama_synchronize(context);
  if (status != 0) return status;
  llama_memory_clear(llama_get_memory(context), true);
  llama_perf_context_reset(context);
  return 0;
}

int32_t discover_layers(Watcher &watcher, llama_context *context) {
  watcher.begin_discovery();
  if (const int32_t status = decode_one_token(context); status != 0) return status;
  watcher.end_discovery();
  return 0;
}

bool Watcher::all_held() const {
  return placements_.ubatches() == 1 && placements_.held() &&
         (!query_tap_.started() || query_tap_.all_held());
}

}  // namespace vase
