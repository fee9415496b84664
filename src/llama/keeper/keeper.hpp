// Keeps the sequences of a llama.cpp context within their budgets, whoever owns the context and
// makes its batches.
//
//     keeper.settle(sequences, When::kDue);    // the context is idle
//     keeper.before_decode({.sequences = of_each_token});
//     status = llama_decode(...); llama_synchronize(...);
//     keeper.after_decode(status == 0);
#ifndef VASE_LLAMA_KEEPER_KEEPER_HPP
#define VASE_LLAMA_KEEPER_KEEPER_HPP

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "llama/graph/watcher.hpp"
#include "llama/keeper/evictor.hpp"
#include "llama/keeper/labels.hpp"
#include "llama/keeper/ledger.hpp"
#include "vase/llama.hpp"

namespace vase {

struct KeeperOptions {
  vase_params policy{};     ///< what sequences start with; no sequence may have a larger budget
  float pin_prompt = 0.0f;  ///< likewise: share of the budget
  int32_t n_sequences = 1;
  int32_t cells = 0;                                      ///< of each sequence's stream
  int64_t longest = std::numeric_limits<int32_t>::max();  ///< tokens that a sequence may have
};

/// What is known of a llama_decode before it runs.
struct ComingDecode {
  /// Of each token of the batch, in its order. None: the batch is not known.
  std::span<const llama_seq_id> sequences;
  /// Sequences of the batch whose tokens are taken back after it, whatever becomes of it.
  std::span<const int32_t> passing;
};

enum class When {
  kDue,   ///< budget and interval are reached
  kFull,  ///< no cell is free
};

class Keeper {
 public:
  /// `watcher` has discovered the layers that `evictor` evicts from, and outlives this. Both are
  /// nullptr if nothing is evicted: then tokens are counted, and their cells are not known.
  Keeper(const KeeperOptions &options, std::unique_ptr<Labels> labels, Watcher *watcher,
         std::unique_ptr<Evictor> evictor);

  const Ledger &ledger() const { return ledger_; }
  /// Says how many tokens of a sequence are its prompt, from the first on.
  void set_prompts(int32_t sequence, const Prompts &prompts) {
    ledger_.set_prompts(sequence, prompts);
  }
  void set_prompt_end(int32_t sequence, int64_t end);
  void begin_turn(int32_t sequence) { ledger_.begin_turn(sequence); }

  const vase_params &params(int32_t sequence) const { return treatment(sequence).params; }
  float pin_prompt(int32_t sequence) const { return treatment(sequence).pin_prompt; }
  /// As BoundedContext has it.
  void set_params(int32_t sequence, const vase_params &params, float pin_prompt);
  void set_draw_stream(int32_t sequence, uint32_t stream) {
    treatment(sequence).draw_stream = stream;
  }

  /// Whether a sequence is to be evicted from before its next tokens.
  bool is_time(int32_t sequence, When when) const;
  /// Cells that are free, without an eviction.
  int32_t free_cells(int32_t sequence) const;
  /// Tokens that a sequence may have in all.
  int64_t longest() const { return options_.longest; }
  /// Tokens that it takes next, if evictions happen `when`: cells that are free, and not beyond
  /// longest().
  int32_t room(int32_t sequence, When when) const;

  /// Evicts from those of `sequences` whose time it is. Throws Error if one cannot be evicted from;
  /// it is as it was then (if a CUDA device fails: it must be cleared), and so are or are not the
  /// others, each as a whole.
  void settle(std::span<const int32_t> sequences, When when);
  /// Call these two around each llama_decode, the second after llama_synchronize. A decode that
  /// failed leaves no token behind. after_decode() throws Error if llama.cpp keeps tokens that are
  /// to be taken back; clear() helps then.
  void before_decode(const ComingDecode &coming);
  void after_decode(bool succeeded);

  /// Takes tokens [first, end) back (end < 0: to the last), if they are the newest ones and all of
  /// their rows are where they were written (Ledger::first_own), or all there are. False, and
  /// nothing is changed, if not. Queries that were captured of them stay until others come.
  [[nodiscard]] bool seq_rm(int32_t sequence, int64_t first, int64_t end);
  /// Makes `to` a copy of `from`, parameters included, but not its draws. Evicts from `from` first
  /// if that is due.
  void seq_cp(int32_t from, int32_t to);
  /// Forgets a sequence, as if new. Throws Error, and changes nothing, if llama.cpp does not.
  void clear(int32_t sequence);

  /// Forgets all sequences. `data`: the rows become zeros, too.
  void clear_all(bool data);

  /// What is known of a sequence but its rows, as plain data; parameters are not in it.
  struct Record {
    Ledger::Record ledger;       ///< with survivors and sums, wherever they are kept
    std::vector<float> queries;  ///< as KeptOfSequence has them
  };
  Record save(int32_t sequence) const;
  /// The sequence becomes what save() saw. llama.cpp has its rows and labels again already, in the
  /// cells that `record` now names. Throws Error if `record` does not fit this context: clear() the
  /// sequence then.
  void restore(int32_t sequence, Record record);
  /// Throws Error if restore() would not take `record` for its rows or heads.
  void check_fits(Record record) const;

  /// What a head of a layer holds (BoundedContext::positions, inspect).
  std::vector<int32_t> positions(int32_t sequence, int32_t layer, int32_t head) const;
  HeadRows look_at(int32_t sequence, int32_t layer, int32_t head) const;
  std::span<const CacheLayer> layers() const;

  /// Seconds spent on evictions, from when they were reset.
  double eviction_seconds() const { return eviction_seconds_; }
  void reset_eviction_seconds() { eviction_seconds_ = 0; }

 private:
  // How rows of a sequence are chosen.
  struct Treatment {
    vase_params params{};
    float pin_prompt = 0.0f;
    uint32_t draw_stream = 0;
  };

  const Treatment &treatment(int32_t sequence) const;
  Treatment &treatment(int32_t sequence);
  void look_at_rope(const vase_params &params);
  Pinned pinned(int32_t sequence) const;
  Eviction next_eviction(int32_t sequence) const;
  void evict(const std::vector<int32_t> &due);
  std::vector<QueryWish> wishes() const;
  void append_placements();
  KeptOfSequence take_kept(Record &record) const;

  KeeperOptions options_;
  std::unique_ptr<Labels> labels_;
  Watcher *watcher_;
  std::unique_ptr<Evictor> evictor_;
  Ledger ledger_;
  std::vector<Treatment> treatments_;
  bool warned_of_rope_ = false;
  double eviction_seconds_ = 0;

  // Of the running llama_decode.
  std::vector<llama_seq_id> batch_;
  std::vector<int32_t> passing_;
};

}  // namespace vase

#endif
