// A llama.cpp context whose KV cache never grows beyond a budget: libvase over an unmodified
// libllama.
//
//     vase::BoundedOptions options;
//     options.policy = vase_params_default(vase_policy_default(), 1024);
//     vase::BoundedContext context(model, options);           // model: llama_model *
//     context.decode({{.sequence = 0, .tokens = prompt}});    // a prompt of any length
//     for (;;) {
//       llama_token token = llama_sampler_sample(sampler, context.get(), context.logits_index(0));
//       if (llama_vocab_is_eog(vocab, token)) break;
//       context.decode({{.sequence = 0, .tokens = {&token, 1}}});
//     }
#ifndef VASE_LLAMA_HPP
#define VASE_LLAMA_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "llama.h"
#include "vase/vase.h"

namespace vase {

/// Something the user can act on: the message is one line and says what went wrong, with which
/// value, and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// BoundedOptions::context.abort_callback ended a decode(): nobody is at fault.
class Stopped : public Error {
 public:
  using Error::Error;
};

struct BoundedOptions {
  /// Policy and its parameters. With a policy that does not evict (`full`) the context is plain
  /// llama.cpp with `context.n_ctx` cells per sequence and no callback installed.
  vase_params policy{};
  /// Sequences that live side by side; each has its own stream of cells, budget and draws.
  int32_t n_sequences = 1;
  /// The newest prompt's rows are never evicted, up to this share of the budget (0: not pinned;
  /// nothing given: what the policy wants, vase_policy_default_pin). Of a longer prompt the newest
  /// rows are pinned; what a shorter one leaves of the share is the first prompt's, if that fits as
  /// a whole. What the prompts are: the tokens given to decode() at first, begin_turn(),
  /// set_prompt_end() and set_prompts().
  std::optional<float> pin_prompt = {};
  /// A file of `vase calibrate`, for policies with vase_policy_needs_calibration(); "": none.
  std::string calibration = {};
  /// llama.cpp computes sequences together only if their numbers follow each other. Where up to so
  /// many sequences in a row sit a step out, each is given a token, which is taken back after the
  /// step, so that the step stays one batch. -1: 64 where llama.cpp has a GPU, on which such a
  /// token costs next to nothing and another batch milliseconds; 0 elsewhere.
  int32_t bridge = -1;
  /// Threads of the eviction; 0: as many as context.n_threads.
  int32_t n_threads = 0;
  /// Everything else: cache types, threads, batch size. Overridden are n_seq_max, kv_unified
  /// (false) and swa_full (false, as in llama.cpp's programs: layers with a sliding window hold
  /// their window and no more); where the policy evicts also n_ctx, n_ubatch (at most the cells
  /// there are), flash_attn_type (enabled) and cb_eval.
  llama_context_params context = llama_context_default_params();
};

/// Tokens to append to one sequence.
struct SequenceInput {
  int32_t sequence = 0;
  std::span<const llama_token> tokens;
  bool all_logits = false;  ///< logits of every token, not of the last alone; then tokens.size() <=
                            ///< room(sequence)
  /// Evict when the cells are full, not as soon as an eviction is due: for the pieces of a long
  /// prompt, which is then treated as if it came in one call, however it is cut. See prompt_room().
  bool fill = false;
};

/// What happened to one sequence since it was cleared.
struct SequenceStatistics {
  int64_t tokens = 0;      ///< tokens decoded
  int32_t rows = 0;        ///< rows that each head of each bounded layer holds now
  int64_t evictions = 0;   ///< evictions, each over all bounded layers
  int64_t rows_moved = 0;  ///< rows moved into holes, summed over layers and heads
};

/// Where the prompts of a text are, in token positions. What is still to be read counts.
struct Prompts {
  int64_t first_end = 0;     ///< the first prompt is [0, first_end); 0: the newest is the first
  int64_t newest_begin = 0;  ///< the newest is [newest_begin, newest_end)
  int64_t newest_end = 0;

  /// Another prompt begins at `position`; the newest becomes the first if it is that.
  void begin_turn(int64_t position) {
    if (first_end == 0) first_end = newest_end;
    newest_begin = newest_end = position;
  }
};

/// Token positions that are never evicted: [0, first_end) and [begin, end).
struct Pinned {
  int32_t first_end = 0;
  int32_t begin = 0;
  int32_t end = 0;

  bool has(int32_t position) const {
    return position < first_end || (position >= begin && position < end);
  }
};

/// What one head of one layer holds, for those who want to look at it.
struct HeadRows {
  std::vector<int32_t> positions;   ///< [rows] token position of each row, in cell order
  std::vector<float> value_ranges;  ///< [rows] max - min of each row's value
  int32_t n_protected = 0;          ///< rows that the policy would protect from its choice if it
                                    ///< evicted now, sinks and pinned rows not counted
  Pinned pinned = {};               ///< is never evicted now
};

/// Where the time went, in seconds, since the context was made or reset_timings() was called.
struct Timings {
  double decode = 0;    ///< inside llama_decode, and the capture that went with it
  double capture = 0;   ///< of that, copying queries out of the graph
  double eviction = 0;  ///< scores, selection and moves
};

/// Called between the parts of a long prompt: tokens done and tokens in all. Return false to stop.
using Progress = std::function<bool(int64_t done, int64_t total)>;

class BoundedContext {
 public:
  /// Makes the context. Of a model with recurrent layers, too, the attention layers are bounded.
  /// Throws Error if the model has only recurrent ones, is an encoder, uses ALiBi, ...
  /// (docs/architectures.md), or if a parameter does not fit it (budget below sinks + recency,
  /// below the sliding window, ...). `model` must outlive this.
  BoundedContext(llama_model *model, const BoundedOptions &options);
  ~BoundedContext();
  BoundedContext(BoundedContext &&) noexcept;
  BoundedContext &operator=(BoundedContext &&) noexcept;

  /// Appends tokens to sequences, several in one batch. Evicts where a sequence is full; splits
  /// what is longer than the room or the batch, so any length is accepted. Returns false if
  /// `progress` stopped it (all parts already decoded stay; statistics().tokens says how far it
  /// came). Throws Error if llama_decode fails: the sequences are as they were before the part that
  /// failed; statistics().tokens tells. Throws Stopped, with the same promise, if
  /// options().context.abort_callback said so while a part was computed (on a CPU within
  /// milliseconds; llama.cpp does not ask it elsewhere, and of a model with recurrent layers every
  /// part is finished, since their state cannot be taken back).
  bool decode(std::span<const SequenceInput> inputs, const Progress &progress = {});
  bool decode(std::initializer_list<SequenceInput> inputs, const Progress &progress = {});

  /// Index for llama_get_logits_ith and llama_sampler_sample: of the last token of `sequence` in
  /// the last decode(), or, with all_logits, of its token `token` (0 = the first of that decode).
  /// Throws Error if it has none.
  int32_t logits_index(int32_t sequence, int32_t token = -1) const;
  /// [n_vocab] logits after the last token of `sequence`. Owned by llama.cpp, valid until the next
  /// decode().
  const float *logits(int32_t sequence) const;

  /// Tokens that `sequence` takes in one piece right now, without splitting, after evicting if it
  /// must.
  int32_t room(int32_t sequence) const;
  /// The same for tokens that are given with `fill`.
  int32_t prompt_room(int32_t sequence) const;
  /// Tokens that a sequence may have in all: 2^31 - 1, or as many positions as the model has
  /// learned if it looks them up in a table (GPT-2, StarCoder). decode() throws Error beyond that.
  int64_t longest_text() const;
  /// Says that what `sequence` has been given so far is its prompt (matters if pin_prompt > 0).
  /// Called by decode() itself after the first call on an empty sequence that was told nothing;
  /// call it again to extend the prompt.
  void set_prompt_end(int32_t sequence);
  /// Says that `sequence` reads a new prompt from here on: the next turn of a chat. Its end is said
  /// by set_prompt_end().
  void begin_turn(int32_t sequence);
  /// Says both, also of what is still to come. Forgotten by clear().
  void set_prompts(int32_t sequence, const Prompts &prompts);
  Prompts prompts(int32_t sequence) const;
  /// Forgets `sequence`, as if new. Its next draws do not depend on the past.
  void clear(int32_t sequence);
  /// Makes `to` a copy of `from`, parameters included, whatever it held before: one prompt that is
  /// read once and continued in several ways. Evicts from `from` first if that is due. `to` keeps
  /// its own draws and has no logits before its next decode(); llama.cpp copies the rows then, so
  /// inspect(to) must wait until after it.
  void copy(int32_t from, int32_t to);
  /// A sequence as bytes: rows, which tokens they are, draws, newest queries; versioned, with a
  /// checksum. A bounded sequence is small, whatever its length; of a policy that does not evict it
  /// is as large as its text. The policy and its parameters are not in it.
  std::vector<std::byte> save(int32_t sequence) const;
  /// `sequence` becomes what save() saw, here or in another context of the same model, cache types,
  /// and policy or at least its need of queries; it has no logits before its next decode(). It
  /// keeps its own parameters and draw stream. Rows may lie in other cells than they did, so
  /// logits may differ in their last digits. Throws Error, in one line, if the bytes are damaged or
  /// do not fit; then `sequence` is as it was, or empty if llama.cpp had begun to read.
  void restore(int32_t sequence, std::span<const std::byte> bytes);
  /// Gives one sequence another policy, budget or seed than options() say, and another share of its
  /// prompt to pin. Holds until it is set again. A sequence that is not empty keeps its budget,
  /// interval and window, and whether it needs queries: only how rows are chosen can change in the
  /// middle of a text. Takes working memory of its own only if the policy needs more of it than any
  /// policy before. Throws Error if the budget or the cells that it needs are larger than the
  /// context's, if the policy does not evict, or if it needs queries that the context does not keep
  /// (options().policy needs none, or has another window).
  void set_params(int32_t sequence, const vase_params &params, float pin_prompt);
  /// What is set for a sequence: options().policy unless set_params() said otherwise.
  const vase_params &params(int32_t sequence) const;
  /// The share of its prompt that is pinned.
  float pin_prompt(int32_t sequence) const;
  /// Which stream of random numbers `sequence` draws from (default: its index), so that a request's
  /// outcome does not depend on the slot it runs in.
  void set_draw_stream(int32_t sequence, uint32_t stream);

  llama_context *get() const;
  const BoundedOptions &options() const;
  SequenceStatistics statistics(int32_t sequence) const;
  const Timings &timings() const;
  void reset_timings();

  /// Cells of each sequence's stream (budget + interval, padded as llama.cpp pads).
  int32_t cells_per_sequence() const;
  /// Layers that are evicted from; sliding-window layers are left alone. 0 with a policy that does
  /// not evict.
  int32_t bounded_layers() const;
  /// Bytes of the KV cache tensors, all sequences and layers, sliding-window layers and the state
  /// of recurrent ones included.
  size_t cache_bytes() const;

  /// Token positions of the rows that a head holds, in cell order: [statistics(sequence).rows].
  /// `layer` counts bounded layers.
  std::vector<int32_t> positions(int32_t sequence, int32_t layer, int32_t head) const;
  /// The same with the range of each row's values, and how many rows are protected for theirs.
  /// Reads the cache, so not during decode().
  HeadRows inspect(int32_t sequence, int32_t layer, int32_t head) const;
  /// KV heads of a bounded layer.
  int32_t heads(int32_t layer) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vase

#endif
