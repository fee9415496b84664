#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "llama/owned/context_state.hpp"

namespace vase {

BoundedContext::BoundedContext(llama_model *model, const BoundedOptions &options) {
  if (model == nullptr) throw Error("the model is a null pointer");
  state_ = std::make_unique<State>(model, options);
}
BoundedContext::~BoundedContext() = default;
BoundedContext::BoundedContext(BoundedContext &&) noexcept = default;
BoundedContext &BoundedContext::operator=(BoundedContext &&) noexcept = default;

bool BoundedContext::decode(std::span<const SequenceInput> inputs, const Progress &progress) {
  return state_->decode(inputs, progress);
}

bool BoundedContext::decode(std::initializer_list<SequenceInput> inputs, const Progress &progress) {
  return state_->decode({inputs.begin(), inputs.size()}, progress);
}

int32_t BoundedContext::logits_index(int32_t sequence, int32_t token) const {
  const Sequence &s = state_->sequence(sequence);
  const std::string name = "sequence " + std::to_string(sequence);
  if (s.first_logits < 0) throw Error(name + " had no tokens in the last decode");
  if (token >= s.n_logits || token < -1)
    throw Error(name + " has logits of " + std::to_string(s.n_logits) + " tokens, not of token " +
                std::to_string(token));
  return s.first_logits + (token < 0 ? s.n_logits - 1 : token);
}

const float *BoundedContext::logits(int32_t sequence) const {
  return llama_get_logits_ith(get(), logits_index(sequence));
}

int32_t BoundedContext::room(int32_t sequence) const {
  const Sequence &s = state_->sequence(sequence);
  return state_->room(s, state_->eviction_due(s));
}

int32_t BoundedContext::prompt_room(int32_t sequence) const {
  const Sequence &s = state_->sequence(sequence);
  return state_->room(s, state_->evictor && state_->free_cells(s) == 0);
}

void BoundedContext::set_params(int32_t sequence, const vase_params &params, float pin_prompt) {
  state_->set_params(state_->sequence(sequence), params, pin_prompt);
}

const vase_params &BoundedContext::params(int32_t sequence) const {
  return state_->sequence(sequence).params;
}

float BoundedContext::pin_prompt(int32_t sequence) const {
  return state_->sequence(sequence).pin_prompt;
}

void BoundedContext::set_prompt_end(int32_t sequence) {
  Sequence &s = state_->sequence(sequence);
  s.prompt_end = s.rows.tokens();
}

void BoundedContext::clear(int32_t sequence) {
  Sequence &s = state_->sequence(sequence);
  s.rows.clear();
  s.evictions = 0;
  s.rows_moved = 0;
  s.prompt_end = 0;
  s.first_logits = -1;
  llama_memory_t memory = llama_get_memory(get());
  // A cleared memory fills its cells from the first one again, which freeing all labels does not
  // promise; so a run on a cleared context repeats to the last bit.
  const bool all_empty = std::ranges::all_of(
      state_->sequences, [](const Sequence &other) { return other.rows.tokens() == 0; });
  if (all_empty) {
    llama_memory_clear(memory, false);
  } else {
    llama_memory_seq_rm(memory, sequence, -1, -1);
  }
}

void BoundedContext::copy(int32_t from, int32_t to) { state_->copy(from, to); }

void BoundedContext::set_draw_stream(int32_t sequence, uint32_t stream) {
  if (stream > static_cast<uint32_t>(std::numeric_limits<int32_t>::max()))
    throw Error("draw stream " + std::to_string(stream) + " is above 2^31 - 1");
  state_->sequence(sequence).draw_stream = stream;
}

llama_context *BoundedContext::get() const { return state_->context.get(); }
const BoundedOptions &BoundedContext::options() const { return state_->options; }

SequenceStatistics BoundedContext::statistics(int32_t sequence) const {
  const Sequence &s = state_->sequence(sequence);
  return {s.rows.tokens(), s.rows.rows(), s.evictions, s.rows_moved};
}

const Timings &BoundedContext::timings() const {
  if (state_->watcher) {
    state_->timings.capture += state_->watcher->capture_seconds();
    state_->watcher->reset_capture_seconds();
  }
  return state_->timings;
}

void BoundedContext::reset_timings() {
  state_->timings = {};
  if (state_->watcher) state_->watcher->reset_capture_seconds();
}

int32_t BoundedContext::cells_per_sequence() const { return state_->shape.cells; }

int32_t BoundedContext::bounded_layers() const {
  return state_->watcher ? static_cast<int32_t>(state_->watcher->layers().size()) : 0;
}

size_t BoundedContext::cache_bytes() const { return state_->cache_bytes; }

std::vector<int32_t> BoundedContext::positions(int32_t sequence, int32_t layer,
                                               int32_t head) const {
  const SequenceRows &rows = state_->sequence(sequence).rows;
  const int32_t n_heads = heads(layer);
  if (head < 0 || head >= n_heads)
    throw Error("head " + std::to_string(head) + " is not in 0 to " + std::to_string(n_heads - 1));
  return state_->evictor->positions(sequence, static_cast<size_t>(layer), head, rows);
}

HeadRows BoundedContext::inspect(int32_t sequence, int32_t layer, int32_t head) const {
  HeadRows rows;
  rows.positions = positions(sequence, layer, head);
  const Eviction eviction = state_->next_eviction(sequence);
  ValueReport values = look_at_values(state_->watcher->layers()[static_cast<size_t>(layer)], head,
                                      eviction, rows.positions);
  rows.value_ranges = std::move(values.ranges);
  rows.n_protected = values.n_protected;
  rows.pinned_begin = eviction.pinned_begin;
  rows.pinned_end = eviction.pinned_end;
  return rows;
}

int32_t BoundedContext::heads(int32_t layer) const {
  if (layer < 0 || layer >= bounded_layers())
    throw Error("layer " + std::to_string(layer) + " is not in 0 to " +
                std::to_string(bounded_layers() - 1) + ", the bounded layers");
  return state_->watcher->layers()[static_cast<size_t>(layer)].n_heads;
}

}  // namespace vase
