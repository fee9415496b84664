// A context that the program made and owns, and whose cache is kept within the budget.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "interpose/batch_notes.hpp"
#include "interpose/fair_mutex.hpp"
#include "interpose/pace.hpp"
#include "interpose/reply_beginning.hpp"
#include "interpose/settings.hpp"
#include "llama.h"
#include "llama/graph/watcher.hpp"
#include "llama/keeper/keeper.hpp"
#include "observe/cache_view.hpp"

namespace vase::interpose {

/// A context as it is between two batches.
struct GuestView {
  int64_t number = 0;  ///< contexts were made before it
  std::string model;
  int32_t layers = 0, heads = 0;  ///< bounded; of the first
  int32_t cells = 0;              ///< of a sequence
  double row_bytes = 0;           ///< of a token in all bounded layers
  uint64_t model_bytes = 0, cache_bytes = 0, asked_bytes = 0;
  std::vector<observe::SlotStatus> slots;
};

/// The program sees a context as long as it asked for, that can take back its newest tokens and put
/// sequences aside; llama.cpp holds one of a few cells. Used by one thread at a time, as contexts
/// are, and looked at by another.
class Guest {
 public:
  /// Makes the context, smaller than `asked`. Throws Error, in one line, if it cannot be bounded or
  /// made. `measured`: the model has no weights, since the program only asks what a context would
  /// take; then nothing is ever decoded.
  Guest(llama_model *model, const llama_context_params &asked, const Settings &settings,
        bool measured);
  ~Guest();

  llama_context *context() const { return context_.get(); }
  /// Ends this guest, but not its context: that goes to the caller, who frees it.
  llama_context *release() { return context_.release(); }
  llama_memory_t memory() const { return llama_get_memory(context()); }
  int64_t number() const { return number_; }

  /// Tokens, as the program asked.
  uint32_t n_ctx() const { return n_ctx_; }
  uint32_t n_ctx_seq() const { return n_ctx_seq_; }
  /// Newest tokens of a sequence that can be taken back whatever was evicted: the recency window;
  /// of a model with recurrent layers as many as llama.cpp says.
  uint32_t rollback() const { return rollback_; }

  /// Evicts what is due of the sequences in the batch, and runs it. What llama_decode answers; -3
  /// if an eviction failed, and a line is said then.
  int32_t decode(const BatchNotes &notes, const std::function<int32_t()> &run);

  bool seq_rm(llama_seq_id sequence, llama_pos first, llama_pos end);
  /// False if only a part is to be copied, which a cache of its own for each sequence cannot do.
  bool seq_cp(llama_seq_id from, llama_seq_id to, llama_pos first, llama_pos end);
  void seq_keep(llama_seq_id sequence);
  void clear(bool data);
  /// Empties all sequences: the program asked for a state of them all, and it was not taken back.
  /// Until there is something in a sequence again, seq_rm() says that the tokens are not there
  /// which the program wants to keep.
  void refuse();
  /// The first token to which `sequence` can be taken back; -1 if it is empty.
  llama_pos seq_pos_min(llama_seq_id sequence) const;

  int32_t n_sequences() const { return keeper_ ? keeper_->ledger().n_sequences() : 0; }
  size_t state_size(llama_seq_id sequence) const;
  /// Bytes written; 0 if it failed, and a line is said then.
  size_t state_get(llama_seq_id sequence, std::span<std::byte> bytes) const;
  /// Bytes read; 0 if it failed, and a line is said then.
  size_t state_set(llama_seq_id sequence, std::span<const std::byte> bytes);

  /// From any thread; waits for the batch that runs.
  GuestView view() const;
  /// Likewise. Throws Error if there is no such head.
  observe::HeadView look_at(int32_t sequence, int32_t layer, int32_t head) const;

 private:
  void make(llama_model *model, const llama_context_params &asked, bool measured);
  void say_hello(const llama_context_params &params);
  void count_since(int64_t evictions, int64_t rows_moved, double seconds) const;
  bool is_there(llama_seq_id sequence) const;
  bool extends_prompt(const BatchNotes &notes, int32_t sequence) const;
  bool begins_turn(const BatchNotes &notes, int32_t sequence) const;
  void pin_opening_mark(const BatchNotes &notes, int32_t sequence);
  void check_positions(const std::vector<int32_t> &sequences);
  static bool callback(ggml_tensor *node, bool ask, void *guest);

  struct FreeContext {
    void operator()(llama_context *context) const;
  };

  Settings settings_;
  mutable FairMutex mutex_;
  int64_t number_ = 0;
  double row_bytes_ = 0;
  uint64_t asked_bytes_ = 0;
  std::vector<Pace> paces_;              // of the sequences
  std::vector<ReplyBeginning> replies_;  // likewise
  std::vector<bool> half_read_;          // likewise: no logits were wanted of the prompt so far
  uint32_t n_ctx_ = 0, n_ctx_seq_ = 0, rollback_ = 0;
  int32_t cells_ = 0;
  bool refused_ = false;  // refuse() came, and no clear() since
  std::optional<Watcher> watcher_;
  // The program's own callback, and who wanted the last node.
  ggml_backend_sched_eval_callback their_callback_ = nullptr;
  void *their_data_ = nullptr;
  bool we_want_ = false, they_want_ = false;
  std::unique_ptr<llama_context, FreeContext> context_;
  std::optional<Keeper> keeper_;
};

}  // namespace vase::interpose
