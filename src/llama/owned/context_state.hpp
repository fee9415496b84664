// What a BoundedContext holds, and how it decodes.
#ifndef VASE_LLAMA_OWNED_CONTEXT_STATE_HPP
#define VASE_LLAMA_OWNED_CONTEXT_STATE_HPP

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "llama/graph/watcher.hpp"
#include "llama/keeper/keeper.hpp"
#include "llama/owned/batch.hpp"
#include "llama/plan/context_shape.hpp"
#include "vase/llama.hpp"

namespace vase {

// What the front knows of a sequence.
struct Sequence {
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

class ContextState {
 public:
  ContextState(llama_model *model, const BoundedOptions &options);

  BoundedOptions options;
  ContextShape shape;
  std::optional<Watcher> watcher;  // set if the policy evicts
  std::optional<Keeper> keeper;    // always set

  struct FreeContext {
    void operator()(llama_context *made) const { llama_free(made); }
  };
  std::unique_ptr<llama_context, FreeContext> context;  // calls the watcher, so it goes first
  std::vector<Sequence> sequences;
  Batch batch;
  Timings timings;
  size_t cache_bytes = 0;
  int32_t largest_gap = 0;  // sequences in a row that are bridged

  Sequence &sequence(int32_t index);
  /// Tokens that a sequence takes in one piece if evictions happen `when`.
  int32_t room(int32_t sequence, When when) const;
  bool decode(std::span<const SequenceInput> inputs, const Progress &progress);

 private:
  // context_setup.cpp
  void make_context(llama_model *model);
  std::unique_ptr<Evictor> find_layers();
  int64_t position_table(llama_model *model) const;

  // decoding.cpp
  std::vector<Pending> accept(std::span<const SequenceInput> inputs) const;
  bool fill_batch(std::vector<Pending> &pending) const;
  void run_batch(std::vector<Pending> &pending, bool last);
  void bridge(int32_t first, int32_t end, int64_t to_come);
  int32_t run_llama();

  size_t state_bytes_ = 0;         // of recurrent layers
  std::vector<int32_t> bridging_;  // sequences in the running batch for the others' sake
};

/// The public class's hidden half.
struct BoundedContext::State : ContextState {
  using ContextState::ContextState;
};

/// What a status of llama_decode that is not 0 means.
std::string decode_failure(int32_t status);
/// Why a sequence has no more than `longest` tokens, to stand behind "and".
std::string why_not_longer(int64_t longest);
/// Throws Stopped if the abort callback caused that status, else Error.
[[noreturn]] void throw_decode_failure(int32_t status);

}  // namespace vase

#endif
