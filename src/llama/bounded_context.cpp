#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "ggml.h"
#include "llama/batch.hpp"
#include "llama/context_shape.hpp"
#include "llama/evictor.hpp"
#include "llama/log_capture.hpp"
#include "llama/sequence_rows.hpp"
#include "llama/watcher.hpp"
#include "vase/llama.hpp"

namespace vase {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct FreeContext {
  void operator()(llama_context *context) const { llama_free(context); }
};

struct Sequence {
  SequenceRows rows;
  vase_params params{};
  float pin_prompt = 0.0f;
  uint32_t draw_stream = 0;
  int64_t evictions = 0;
  int64_t rows_moved = 0;
  int64_t prompt_end = 0;                   // tokens that are the prompt
  int32_t first_logits = -1, n_logits = 0;  // in the batch of the last llama_decode
};

// What is left to do of one input of a decode.
struct Pending {
  int32_t sequence;
  std::span<const llama_token> tokens;
  bool all_logits;
  bool fill;
  int32_t now = 0;  // tokens that go into the coming batch

  bool done_after() const { return static_cast<size_t>(now) == tokens.size(); }
};

}  // namespace

struct BoundedContext::State {
  BoundedOptions options;
  ContextShape shape;
  std::optional<Watcher> watcher;                       // set if the policy evicts
  std::optional<Evictor> evictor;                       // the same
  std::unique_ptr<llama_context, FreeContext> context;  // calls the watcher, so it goes first
  std::vector<Sequence> sequences;
  Batch batch;
  Timings timings;
  size_t cache_bytes = 0;

  State(llama_model *model, const BoundedOptions &given)
      : options(given), shape(shape_context(model, given)) {
    if (shape.evicts) {
      watcher.emplace(shape.cells, options.n_sequences);
      shape.params.cb_eval = Watcher::callback;
      shape.params.cb_eval_user_data = &*watcher;
    }
    make_context(model);
    batch = Batch(static_cast<int32_t>(llama_n_batch(context.get())));
    if (shape.evicts) find_layers(model);

    const int32_t heads = evictor ? evictor->heads() : 0;
    const int32_t budget = evictor ? options.policy.budget : 0;
    for (int32_t i = 0; i < options.n_sequences; ++i) {
      Sequence sequence;
      sequence.rows = SequenceRows(heads, budget, shape.cells);
      sequence.params = options.policy;
      sequence.pin_prompt = options.pin_prompt;
      sequence.draw_stream = static_cast<uint32_t>(i);
      sequences.push_back(std::move(sequence));
    }
  }

  void make_context(llama_model *model) {
    const LogCapture log(true);
    context.reset(llama_init_from_model(model, shape.params));
    if (context == nullptr)
      throw Error("llama.cpp could not make a context of " + std::to_string(shape.params.n_ctx) +
                  " cells: " + log.last_error("it did not say why"));
    if (llama_get_memory(context.get()) == nullptr)
      throw Error("the model has no KV cache, so there is nothing to bound");
    if (static_cast<int32_t>(llama_n_ctx_seq(context.get())) != shape.cells)
      throw Error("llama.cpp made " + std::to_string(llama_n_ctx_seq(context.get())) +
                  " cells a sequence where " + std::to_string(shape.cells) + " were expected");
    for (const LoggedCache &cache : log.caches()) cache_bytes += cache.bytes;
  }

  // Runs one token through the model to see its layers, so that a model that cannot be bounded is
  // refused before any text is read. Touches the weights, which the first decode would do anyway.
  void find_layers(const llama_model *model) {
    const llama_vocab *vocab = llama_model_get_vocab(model);
    const llama_token bos = llama_vocab_bos(vocab);
    batch.clear();
    batch.add(bos >= 0 && bos < llama_vocab_n_tokens(vocab) ? bos : 0, 0, 0, true);
    watcher->begin_discovery();
    const int32_t status = llama_decode(context.get(), batch.get());
    llama_synchronize(context.get());
    if (status != 0)
      throw Error("llama_decode failed on the first token (status " + std::to_string(status) + ")");
    watcher->end_discovery();
    llama_memory_clear(llama_get_memory(context.get()), true);
    llama_perf_context_reset(context.get());

    cache_bytes = watcher->cache_bytes();
    if (vase_policy_needs_queries(options.policy.policy) != 0)
      watcher->capture_queries(options.policy.window);
    const int threads = options.n_threads > 0 ? options.n_threads : llama_n_threads(context.get());
    evictor.emplace(options.policy, watcher->layers(), shape.cells, threads);
    if (evictor->works_on_copies()) warn_about_copies();
  }

  void warn_about_copies() const {
    ggml_log_callback log = nullptr;
    void *data = nullptr;
    llama_log_get(&log, &data);
    if (log != nullptr)
      log(GGML_LOG_LEVEL_WARN,
          "vase: the KV cache is not in host memory; evictions copy it to the host and back, which "
          "is slower\n",
          data);
  }

  Sequence &sequence(int32_t index) {
    if (index < 0 || index >= options.n_sequences)
      throw Error("sequence " + std::to_string(index) + " is not in 0 to " +
                  std::to_string(options.n_sequences - 1));
    return sequences[static_cast<size_t>(index)];
  }

  void set_params(Sequence &s, const vase_params &params, float pin_prompt) {
    if (s.rows.tokens() > 0) throw Error("parameters can be set for an empty sequence alone");
    if (vase_params_check(&params) != VASE_OK) throw Error(vase_last_error());
    if (!evictor || vase_policy_evicts(params.policy) == 0)
      throw Error("policy " + std::string(vase_policy_name(params.policy)) +
                  " cannot be set for one sequence: all evict or none does");
    if (params.budget > options.policy.budget)
      throw Error("budget " + std::to_string(params.budget) + " is above the context's, " +
                  std::to_string(options.policy.budget));
    if (int64_t{params.budget} + params.interval > shape.cells)
      throw Error("budget + interval is " +
                  std::to_string(int64_t{params.budget} + params.interval) +
                  ", but a sequence has " + std::to_string(shape.cells) + " cells");
    if (!(pin_prompt >= 0.0f && pin_prompt <= 0.9f))
      throw Error("pinned share of the prompt " + std::to_string(pin_prompt) +
                  " is not in 0 to 0.9 of the budget");
    if (vase_policy_needs_queries(params.policy) != 0 &&
        watcher->queries().window() != params.window)
      throw Error("policy " + std::string(vase_policy_name(params.policy)) +
                  " scores by the newest " + std::to_string(params.window) +
                  " queries, but the context keeps " + std::to_string(watcher->queries().window()));
    evictor->reserve(params);
    s.params = params;
    s.pin_prompt = pin_prompt;
  }

  // ---- eviction ---------------------------------------------------------------------------------

  bool eviction_due(const Sequence &s) const {
    return evictor && s.rows.rows() >= s.params.budget + s.params.interval;
  }

  // Token positions that stay. Of a prompt longer than its share the newest rows stay. The share
  // never crowds out sinks and recency window.
  static std::pair<int32_t, int32_t> pinned(const Sequence &s) {
    const int64_t share =
        std::min<int64_t>(static_cast<int64_t>(static_cast<double>(s.pin_prompt) * s.params.budget),
                          s.params.budget - s.params.recency - s.params.sinks);
    if (share <= 0) return {0, 0};
    return {static_cast<int32_t>(std::max<int64_t>(0, s.prompt_end - share)),
            static_cast<int32_t>(s.prompt_end)};
  }

  void evict(int32_t index) {
    Sequence &s = sequence(index);
    const auto start = Clock::now();
    Eviction eviction;
    eviction.stream = index;
    eviction.draw_stream = s.draw_stream;
    eviction.number = static_cast<uint32_t>(s.evictions);
    std::tie(eviction.pinned_begin, eviction.pinned_end) = pinned(s);
    eviction.params = &s.params;

    const int64_t freed_from = s.rows.oldest_label();
    s.rows_moved += evictor->evict(eviction, watcher->queries(), s.rows);
    ++s.evictions;
    llama_memory_seq_rm(llama_get_memory(context.get()), index, static_cast<llama_pos>(freed_from),
                        static_cast<llama_pos>(s.rows.oldest_label()));
    timings.eviction += seconds_since(start);
  }

  // Cells that are free, without an eviction.
  int32_t free_cells(const Sequence &s) const { return shape.cells - s.rows.rows(); }

  // `evicts`: an eviction comes before the next tokens.
  int32_t room(const Sequence &s, bool evicts) const {
    const int32_t cells = evicts ? shape.cells - s.params.budget : free_cells(s);
    return std::min(cells, static_cast<int32_t>(llama_n_batch(context.get())));
  }

  // ---- decoding ---------------------------------------------------------------------------------

  std::vector<Pending> accept(std::span<const SequenceInput> inputs) {
    std::vector<Pending> pending;
    int64_t at_once = 0;  // tokens whose logits are wanted together
    for (const SequenceInput &input : inputs) {
      const Sequence &s = sequence(input.sequence);
      const std::string name = "sequence " + std::to_string(input.sequence);
      if (input.tokens.empty()) throw Error(name + " was given no tokens");
      if (input.all_logits && static_cast<int64_t>(input.tokens.size()) > room(s, eviction_due(s)))
        throw Error(name + " was given " + std::to_string(input.tokens.size()) +
                    " tokens with all logits, but takes " +
                    std::to_string(room(s, eviction_due(s))) + " in one piece");
      if (s.rows.tokens() + static_cast<int64_t>(input.tokens.size()) >
          std::numeric_limits<int32_t>::max())
        throw Error(name + " would be longer than 2^31 tokens; clear it first");
      if (!shape.evicts && static_cast<int64_t>(input.tokens.size()) > free_cells(s))
        throw Error(name + " is full: " + std::to_string(s.rows.rows()) + " of " +
                    std::to_string(shape.cells) + " cells are used and " +
                    std::to_string(input.tokens.size()) +
                    " tokens are to come; use a larger context or a policy that evicts");
      at_once += input.all_logits ? static_cast<int64_t>(input.tokens.size()) : 1;
      pending.push_back({input.sequence, input.tokens, input.all_logits, input.fill});
    }
    // llama.cpp puts sequences into one ubatch only in the order of their numbers.
    std::ranges::sort(pending, {}, &Pending::sequence);
    for (size_t i = 1; i < pending.size(); ++i)
      if (pending[i].sequence == pending[i - 1].sequence)
        throw Error("sequence " + std::to_string(pending[i].sequence) + " was given twice");
    if (at_once > static_cast<int64_t>(llama_n_batch(context.get())))
      throw Error("logits of " + std::to_string(at_once) +
                  " tokens are wanted at once, but a batch "
                  "holds " +
                  std::to_string(llama_n_batch(context.get())));
    return pending;
  }

  // Chooses what goes into the coming batch. llama.cpp keeps the logits of the last batch alone, so
  // all sequences end in it: who would be done early waits. Evictions happen when a sequence is
  // full and never depend on the others, so a sequence is treated the same in any company.
  // Returns true if this is the last batch.
  bool fill_batch(std::vector<Pending> &pending) const {
    const auto n_batch = static_cast<int64_t>(llama_n_batch(context.get()));
    int64_t total = 0;
    bool all_fit = true;
    for (Pending &input : pending) {
      const int32_t free = free_cells(sequences[static_cast<size_t>(input.sequence)]);
      const auto left = static_cast<int64_t>(input.tokens.size());
      all_fit = all_fit && left <= free;
      total += left;
      input.now = static_cast<int32_t>(std::min<int64_t>(left, free));
    }
    if (all_fit && total <= n_batch) return true;

    // The long ones go first; if all fit their cells but not one batch, everyone goes.
    int64_t going = 0;
    for (Pending &input : pending) {
      const bool waits = (!all_fit && input.done_after()) || input.all_logits;
      input.now = waits ? 0 : std::min(input.now, static_cast<int32_t>(input.tokens.size()) - 1);
      going += input.now > 0 ? 1 : 0;
    }
    const auto share =
        static_cast<int32_t>(std::max<int64_t>(1, n_batch / std::max<int64_t>(1, going)));
    for (Pending &input : pending) input.now = std::min(input.now, share);
    return false;
  }

  void run_batch(std::vector<Pending> &pending, bool last) {
    batch.clear();
    for (Pending &input : pending) {
      Sequence &s = sequence(input.sequence);
      const int64_t first = s.rows.tokens();
      s.first_logits = -1;
      s.n_logits = 0;
      for (int32_t i = 0; i < input.now; ++i) {
        const bool logits = last && (input.all_logits || i + 1 == input.now);
        if (logits && s.first_logits < 0) s.first_logits = batch.size();
        s.n_logits += logits ? 1 : 0;
        batch.add(input.tokens[static_cast<size_t>(i)], static_cast<llama_pos>(first + i),
                  input.sequence, logits);
      }
      if (watcher && input.now > 0) want_queries(input, s);
    }

    if (watcher) watcher->forget_placements();
    const auto start = Clock::now();
    const int32_t status = llama_decode(context.get(), batch.get());
    llama_synchronize(context.get());
    timings.decode += seconds_since(start);
    if (status != 0) undo_batch(pending, status);

    if (watcher) {
      for (const Placement &placement : watcher->placements())
        sequences[static_cast<size_t>(placement.sequence)].rows.append(placement.cell);
    } else {
      // Nothing will be evicted, so cells do not matter; only their number does.
      for (const Pending &input : pending)
        for (int32_t i = 0; i < input.now; ++i) sequence(input.sequence).rows.append(0);
    }
    for (Pending &input : pending)
      input.tokens = input.tokens.subspan(static_cast<size_t>(input.now));
  }

  // Only the newest queries before an eviction are ever read, and none is due before budget +
  // interval rows are there. So most of a prompt, and all of a short text, needs no capture.
  void want_queries(const Pending &input, const Sequence &s) {
    const vase_params &policy = s.params;
    const int64_t tokens = s.rows.tokens();
    const int64_t until_due = policy.budget + policy.interval - s.rows.rows();
    const int64_t end = std::max<int64_t>(until_due, input.now);
    watcher->want_queries_from(input.sequence, tokens + end - policy.window);
  }

  // Forgets the tokens of a batch that failed, so that every sequence is as it was before it.
  [[noreturn]] void undo_batch(const std::vector<Pending> &pending, int32_t status) {
    for (const Pending &input : pending) {
      Sequence &s = sequence(input.sequence);
      s.first_logits = -1;
      s.n_logits = 0;
      if (input.now == 0) continue;
      llama_memory_seq_rm(llama_get_memory(context.get()), input.sequence,
                          static_cast<llama_pos>(s.rows.tokens()), -1);
      if (watcher) watcher->set_token_count(input.sequence, s.rows.tokens());
    }
    if (watcher) watcher->forget_placements();
    const std::string what = status == 2   ? "it was stopped"
                             : status == 1 ? "it found no free cells"
                             : status == -1
                                 ? "the batch is invalid (a token outside the vocabulary?)"
                                 : "status " + std::to_string(status);
    throw Error("llama_decode failed: " + what);
  }

  bool decode(std::span<const SequenceInput> inputs, const Progress &progress) {
    std::vector<Pending> pending = accept(inputs);
    for (Sequence &s : sequences) s.first_logits = -1;
    int64_t total = 0, done = 0;
    for (const Pending &input : pending) {
      Sequence &s = sequence(input.sequence);
      total += static_cast<int64_t>(input.tokens.size());
      if (s.rows.tokens() == 0) s.prompt_end = static_cast<int64_t>(input.tokens.size());
      if (!input.fill && eviction_due(s)) evict(input.sequence);
    }
    if (pending.empty()) return true;

    for (;;) {
      for (const Pending &input : pending)
        if (free_cells(sequence(input.sequence)) == 0) evict(input.sequence);
      const bool last = fill_batch(pending);
      for (const Pending &input : pending) done += input.now;
      run_batch(pending, last);
      if (last) break;
      if (progress && !progress(done, total)) {
        for (const Pending &input : pending) {
          Sequence &s = sequence(input.sequence);
          s.prompt_end = std::min(s.prompt_end, s.rows.tokens());
        }
        return false;
      }
    }
    return true;
  }
};

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
  if (state_->watcher) state_->watcher->set_token_count(sequence, 0);
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
  if (state_->watcher) state_->timings.capture = state_->watcher->capture_seconds();
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
  const std::vector<CacheLayer> &layers = state_->watcher->layers();
  int32_t first_head = 0;
  for (int32_t i = 0; i < layer; ++i) first_head += layers[static_cast<size_t>(i)].n_heads;
  std::vector<int32_t> positions(static_cast<size_t>(rows.rows()));
  rows.positions(first_head + head, positions);
  return positions;
}

HeadRows BoundedContext::inspect(int32_t sequence, int32_t layer, int32_t head) const {
  HeadRows rows;
  rows.positions = positions(sequence, layer, head);
  const Sequence &s = state_->sequence(sequence);
  rows.value_ranges =
      state_->evictor->value_ranges(sequence, static_cast<size_t>(layer), head, s.rows);
  std::tie(rows.pinned_begin, rows.pinned_end) = State::pinned(s);
  return rows;
}

int32_t BoundedContext::heads(int32_t layer) const {
  if (layer < 0 || layer >= bounded_layers())
    throw Error("layer " + std::to_string(layer) + " is not in 0 to " +
                std::to_string(bounded_layers() - 1) + ", the bounded layers");
  return state_->watcher->layers()[static_cast<size_t>(layer)].n_heads;
}

}  // namespace vase
