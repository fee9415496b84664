// What a BoundedContext holds, and how it decodes.
#ifndef VASE_LLAMA_OWNED_CONTEXT_STATE_HPP
#define VASE_LLAMA_OWNED_CONTEXT_STATE_HPP

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "llama/graph/watcher.hpp"
#include "llama/keeper/evictor.hpp"
#include "llama/keeper/sequence_rows.hpp"
#include "llama/owned/batch.hpp"
#include "llama/plan/context_shape.hpp"
#include "vase/llama.hpp"

namespace vase {

struct Sequence {
  SequenceRows rows;
  vase_params params{};
  float pin_prompt = 0.0f;
  uint32_t draw_stream = 0;
  int64_t evictions = 0;
  int64_t rows_moved = 0;
  int64_t prompt_end = 0;                   // tokens that are the prompt
  int32_t first_logits = -1, n_logits = 0;  // in the batch of the last llama_decode
  bool bridging = false;                    // in the running batch for the others' sake
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

class ContextState {
 public:
  ContextState(llama_model *model, const BoundedOptions &options);

  BoundedOptions options;
  ContextShape shape;
  std::optional<Watcher> watcher;    // set if the policy evicts
  std::unique_ptr<Evictor> evictor;  // the same; the watcher gives it queries

  struct FreeContext {
    void operator()(llama_context *context) const { llama_free(context); }
  };
  std::unique_ptr<llama_context, FreeContext> context;  // calls the watcher, so it goes first
  std::vector<Sequence> sequences;
  Batch batch;
  Timings timings;
  size_t cache_bytes = 0;
  int32_t largest_gap = 0;  // sequences in a row that are bridged

  Sequence &sequence(int32_t index);
  void set_params(Sequence &s, const vase_params &params, float pin_prompt);

  bool eviction_due(const Sequence &s) const {
    return evictor && s.rows.rows() >= s.params.budget + s.params.interval;
  }
  /// Token positions that stay. Of a prompt longer than its share the newest rows stay. The share
  /// never crowds out sinks and recency window.
  static std::pair<int32_t, int32_t> pinned(const Sequence &s);
  /// An eviction of the sequence as it is now.
  Eviction next_eviction(int32_t index);
  /// Cells that are free, without an eviction.
  int32_t free_cells(const Sequence &s) const { return shape.cells - s.rows.rows(); }
  /// `evicts`: an eviction comes before the next tokens.
  int32_t room(const Sequence &s, bool evicts) const;

  bool decode(std::span<const SequenceInput> inputs, const Progress &progress);
  void copy(int32_t from, int32_t to);

 private:
  // context_setup.cpp
  void make_context(llama_model *model);
  void find_layers(const llama_model *model);
  /// Says once if `params` want what is not known of the model.
  void look_at_rope(const vase_params &params);
  bool warned_of_rope_ = false;

  // decoding.cpp
  std::vector<Pending> accept(std::span<const SequenceInput> inputs);
  bool fill_batch(std::vector<Pending> &pending) const;
  void run_batch(std::vector<Pending> &pending, bool last);
  static QueryWish wish(const Pending &input, const Sequence &s);
  std::vector<QueryWish> wishes;  // of the coming llama_decode, by sequence
  void bridge(int32_t first, int32_t end, int64_t to_come);
  void take_bridges_back();
  void append_placements();
  int32_t run_llama();
  [[noreturn]] void undo_batch(const std::vector<Pending> &pending, int32_t status);

  // evictions.cpp
  void evict(const std::vector<int32_t> &due);
};

/// The public class's hidden half.
struct BoundedContext::State : ContextState {
  using ContextState::ContextState;
};

/// What a status of llama_decode that is not 0 means.
std::string decode_failure(int32_t status);

}  // namespace vase

#endif
