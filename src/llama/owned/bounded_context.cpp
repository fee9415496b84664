#include <limits>
#include <string>

#include "llama/keeper/snapshot.hpp"
#include "llama/owned/context_state.hpp"

namespace vase {
namespace {

void check_head(const BoundedContext &context, int32_t layer, int32_t head) {
  const int32_t n_heads = context.heads(layer);
  if (head < 0 || head >= n_heads)
    throw Error("head " + std::to_string(head) + " is not in 0 to " + std::to_string(n_heads - 1));
}

}  // namespace

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

int32_t BoundedContext::room(int32_t sequence) const { return state_->room(sequence, When::kDue); }

int32_t BoundedContext::prompt_room(int32_t sequence) const {
  return state_->room(sequence, When::kFull);
}

int64_t BoundedContext::longest_text() const { return state_->keeper->longest(); }

void BoundedContext::set_params(int32_t sequence, const vase_params &params, float pin_prompt) {
  state_->keeper->set_params(sequence, params, pin_prompt);
}

const vase_params &BoundedContext::params(int32_t sequence) const {
  return state_->keeper->params(sequence);
}

float BoundedContext::pin_prompt(int32_t sequence) const {
  return state_->keeper->pin_prompt(sequence);
}

void BoundedContext::begin_turn(int32_t sequence) { state_->keeper->begin_turn(sequence); }

void BoundedContext::set_prompts(int32_t sequence, const Prompts &prompts) {
  if (prompts.first_end < 0 || prompts.newest_begin < prompts.first_end ||
      prompts.newest_end < prompts.newest_begin)
    throw Error("prompts of tokens 0 to " + std::to_string(prompts.first_end) + " and " +
                std::to_string(prompts.newest_begin) + " to " + std::to_string(prompts.newest_end) +
                " are not in order");
  state_->keeper->set_prompts(sequence, prompts);
}

Prompts BoundedContext::prompts(int32_t sequence) const {
  return state_->keeper->ledger().prompts(sequence);
}

void BoundedContext::set_prompt_end(int32_t sequence) {
  state_->keeper->set_prompt_end(sequence, state_->keeper->ledger().tokens(sequence));
}

void BoundedContext::clear(int32_t sequence) {
  Sequence &s = state_->sequence(sequence);
  state_->keeper->clear(sequence);
  s.first_logits = -1;
}

void BoundedContext::copy(int32_t from, int32_t to) {
  state_->sequence(from);  // is it there?
  Sequence &target = state_->sequence(to);
  state_->keeper->seq_cp(from, to);
  if (from != to) target.first_logits = -1;
}

std::vector<std::byte> BoundedContext::save(int32_t sequence) const {
  state_->sequence(sequence);  // is it there?
  std::vector<std::byte> bytes(snapshot_size(get(), *state_->keeper, sequence));
  take_snapshot(get(), *state_->keeper, sequence, bytes);
  return bytes;
}

void BoundedContext::restore(int32_t sequence, std::span<const std::byte> bytes) {
  state_->sequence(sequence).first_logits = -1;
  restore_snapshot(get(), *state_->keeper, sequence, bytes);
}

void BoundedContext::set_draw_stream(int32_t sequence, uint32_t stream) {
  if (stream > static_cast<uint32_t>(std::numeric_limits<int32_t>::max()))
    throw Error("draw stream " + std::to_string(stream) + " is above 2^31 - 1");
  state_->keeper->set_draw_stream(sequence, stream);
}

llama_context *BoundedContext::get() const { return state_->context.get(); }
const BoundedOptions &BoundedContext::options() const { return state_->options; }

SequenceStatistics BoundedContext::statistics(int32_t sequence) const {
  return state_->keeper->ledger().statistics(sequence);
}

const Timings &BoundedContext::timings() const {
  state_->timings.eviction = state_->keeper->eviction_seconds();
  if (state_->watcher) state_->timings.capture = state_->watcher->capture_seconds();
  return state_->timings;
}

void BoundedContext::reset_timings() {
  state_->timings = {};
  state_->keeper->reset_eviction_seconds();
  if (state_->watcher) state_->watcher->reset_capture_seconds();
}

int32_t BoundedContext::cells_per_sequence() const { return state_->shape.cells; }

int32_t BoundedContext::bounded_layers() const {
  return static_cast<int32_t>(state_->keeper->layers().size());
}

size_t BoundedContext::cache_bytes() const { return state_->cache_bytes; }

std::vector<int32_t> BoundedContext::positions(int32_t sequence, int32_t layer,
                                               int32_t head) const {
  check_head(*this, layer, head);
  return state_->keeper->positions(sequence, layer, head);
}

HeadRows BoundedContext::inspect(int32_t sequence, int32_t layer, int32_t head) const {
  check_head(*this, layer, head);
  return state_->keeper->look_at(sequence, layer, head);
}

int32_t BoundedContext::heads(int32_t layer) const {
  if (layer < 0 || layer >= bounded_layers())
    throw Error("layer " + std::to_string(layer) + " is not in 0 to " +
                std::to_string(bounded_layers() - 1) + ", the bounded layers");
  return state_->keeper->layers()[static_cast<size_t>(layer)].n_heads;
}

}  // namespace vase
