// How much memory a bounded context will take, known before any weight is read.
#ifndef VASE_LLAMA_PLAN_MEMORY_PLAN_HPP
#define VASE_LLAMA_PLAN_MEMORY_PLAN_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "llama/plan/model_header.hpp"
#include "vase/llama.hpp"

namespace vase {

/// Bytes that a context takes, summed over all devices.
struct MemoryPlan {
  int32_t budget = 0;       ///< rows of a head after an eviction; 0: the policy does not evict
  int32_t n_sequences = 0;  ///< sequences side by side
  int32_t cells = 0;        ///< cells of each sequence's stream, as llama.cpp pads them
  size_t weights = 0;       ///< all tensors of the model
  size_t repacked = 0;      ///< second copies of weights, as the CPU backend wants them
  size_t adapters = 0;      ///< all tensors of its LoRA adapters
  size_t kv = 0;            ///< KV cache of all sequences, sliding-window layers included
  size_t queries = 0;       ///< captured queries and working memory of evictions
  size_t compute = 0;     ///< llama.cpp's compute and output buffers, with the logits of one token
                          ///< of each sequence at a time
  size_t structures = 0;  ///< what llama.cpp keeps beside these: vocabulary, metadata, graphs,
                          ///< the cells' positions
  size_t snapshots = 0;   ///< sequences that are put aside, at most; what the program says
  /// Of the compute buffers, what llama.cpp reserves for logits of every token of a batch; nothing
  /// touches it until somebody wants those.
  size_t unused_logits = 0;
  double kv_per_token = 0;  ///< bytes that a token more takes in the cache of plain llama.cpp
  size_t kv_windows = 0;    ///< of one sequence, what layers with sliding windows take in any cache
  size_t on_gpus = 0;       ///< of total(), what lies on GPUs; an estimate if only some layers do
  bool exact = true;        ///< false: llama.cpp did not say its sizes, so kv is an upper bound
                            ///< and compute a guess

  /// Weights of all kinds.
  size_t loaded() const { return weights + repacked + adapters; }
  /// What will be in memory once text was read, the program itself not counted.
  size_t resident() const { return loaded() + kv + queries + compute + structures + snapshots; }
  /// All that is allocated.
  size_t total() const { return resident() + unused_logits; }
};

/// Plans for one model file. Lets llama.cpp load the file's metadata and simulate its allocations;
/// weights are not read.
class MemoryPlanner {
 public:
  /// Throws Error if the model is of an architecture that cannot be bounded, or llama.cpp does not
  /// know it. `model`: device and offloading parameters, as for loading.
  explicit MemoryPlanner(const ModelHeader &header,
                         const llama_model_params &model = llama_model_default_params());
  /// The same for the model at `path`, without adapters. Throws Error as open_model does, too.
  explicit MemoryPlanner(const std::string &path,
                         const llama_model_params &model = llama_model_default_params());
  ~MemoryPlanner();
  MemoryPlanner(MemoryPlanner &&) noexcept;
  MemoryPlanner &operator=(MemoryPlanner &&) noexcept;

  /// The memory of BoundedContext(model, options). Throws Error where that would.
  MemoryPlan plan(const BoundedOptions &options) const;
  /// The same at half the price, for who asks for the sum: what is reserved for logits and not
  /// touched counts as compute.
  MemoryPlan plan_total(const BoundedOptions &options) const;

  /// Picks budget and sequences that fit into `limit` bytes, and returns the plan of the choice.
  /// options.policy.budget > 0 or options.n_sequences > 0 are taken as given, what is 0 is chosen:
  /// a budget given, as many sequences as fit; sequences given, the largest budget up to the
  /// model's training length; neither, the published budget (4096) with as many sequences as fit,
  /// or one sequence with the largest budget if not even one fits. A recency window below 0 and an
  /// interval of 0 are what the policy has by default at the budget. Throws Error, saying how much
  /// the smallest choice needs, if nothing fits.
  MemoryPlan fit(size_t limit, const BoundedOptions &options) const;

  /// The model as opened without weights: for its metadata (names, layers, vocabulary), not for
  /// decoding.
  const llama_model *model() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vase

#endif
