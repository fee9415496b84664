// Runs one eviction of one sequence over all bounded layers, on several threads.
#ifndef VASE_LLAMA_EVICTOR_HPP
#define VASE_LLAMA_EVICTOR_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/thread_pool.hpp"
#include "llama/cache_layer.hpp"
#include "llama/query_rings.hpp"
#include "llama/sequence_rows.hpp"
#include "vase/vase.h"

namespace vase {

/// What names the draws of an eviction and what it must keep.
struct Eviction {
  int32_t stream = 0;        ///< the sequence, as llama.cpp counts
  uint32_t draw_stream = 0;  ///< the sequence, as the random numbers count
  uint32_t number = 0;       ///< evictions of this sequence so far
  int32_t pinned_begin = 0;  ///< token positions that stay
  int32_t pinned_end = 0;
  const vase_params *params = nullptr;  ///< of this sequence, reserved for; nullptr: the evictor's
};

class Evictor {
 public:
  /// `layers`, whose heads are counted through, must outlive this. `cells`: the most rows a head
  /// can hold. `always_copy`: work on host copies even where the cache is on the host (for tests).
  Evictor(const vase_params &params, std::span<const CacheLayer> layers, int32_t cells,
          int n_threads, bool always_copy = false);

  /// KV heads of all layers together.
  int32_t heads() const { return static_cast<int32_t>(heads_.size()); }
  /// The cache is not where the CPU can reach it, so rows travel to the host and back.
  bool works_on_copies() const { return copies_; }
  size_t bytes() const;
  /// Makes the working memory large enough for evictions with `params`.
  void reserve(const vase_params &params);

  /// Evicts down to the budget: chooses rows, moves them out of the cells with the oldest labels,
  /// and updates `rows`. Returns the rows moved, summed over heads. The caller frees the labels
  /// below rows.oldest_label() afterwards. Throws Error if libvase refuses.
  int64_t evict(const Eviction &eviction, const QueryRings &queries, SequenceRows &rows);

  /// max - min of each row's value, in the order of rows.cells(). `layer`, `head` within the layer.
  std::vector<float> value_ranges(int32_t stream, size_t layer, int32_t head,
                                  const SequenceRows &rows) const;

 private:
  struct Head {
    size_t layer;
    int32_t head;  // within the layer
  };

  void evict_head(size_t index, int worker);

  vase_params params_;
  std::span<const CacheLayer> layers_;
  std::vector<Head> heads_;
  std::vector<size_t> first_head_;  // [layers + 1]
  size_t cells_;
  bool copies_;
  ThreadPool pool_;
  std::vector<std::vector<std::byte>> workspaces_;  // [workers]
  std::vector<uint8_t> keep_;                       // [heads][cells]
  std::vector<int32_t> positions_;                  // [heads][cells]
  std::vector<int64_t> moved_;                      // [heads]
  std::vector<std::byte> key_copy_, value_copy_;    // one stream of one layer

  // Of the running eviction.
  std::function<void(int, int)> task_;
  size_t task_first_head_ = 0;
  Eviction eviction_;
  vase_params task_params_;
  const QueryRings *queries_ = nullptr;
  SequenceRows *rows_ = nullptr;
  std::mutex error_mutex_;
  std::string error_;
};

}  // namespace vase

#endif
