// Runs evictions over all bounded layers, where the cache lies.
#ifndef VASE_LLAMA_KEEPER_EVICTOR_HPP
#define VASE_LLAMA_KEEPER_EVICTOR_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "llama/graph/cache_layer.hpp"
#include "llama/graph/query_store.hpp"
#include "llama/keeper/sequence_rows.hpp"
#include "vase/llama.hpp"
#include "vase/vase.h"

namespace vase {

/// One sequence to evict from: what names its draws and what it must keep.
struct Eviction {
  int32_t stream = 0;            ///< the sequence, as llama.cpp counts
  uint32_t draw_stream = 0;      ///< the sequence, as the random numbers count
  uint32_t number = 0;           ///< evictions of this sequence so far
  Pinned pinned = {};            ///< token positions that stay
  vase_params params{};          ///< of this sequence, reserved for
  SequenceRows *rows = nullptr;  ///< updated
  int64_t moved = 0;             ///< set by evict(): rows moved, summed over heads
  bool done = false;             ///< set by evict(): rows has changed
};

/// What an evictor knows of a sequence that SequenceRows does not, as plain data.
struct KeptOfSequence {
  /// [heads of all layers][rows - new rows] token indices in the order of rows.cells(). Empty where
  /// SequenceRows has them.
  std::vector<int32_t> survivors;
  /// Likewise, what the policy has found of them so far (vase_layer.sums). Empty also where all are
  /// 0.
  std::vector<float> sums;
  /// Of each layer [n_query_heads][window][dim], a token in slot index % window. Empty: none.
  std::vector<float> queries;
};

/// Frees the cells of the `freed` oldest labels of a sequence; false if that cannot be.
using FreeLabels = std::function<bool(const Eviction &eviction, int32_t freed)>;

class Evictor {
 public:
  virtual ~Evictor() = default;

  /// KV heads whose survivors SequenceRows keeps for this evictor; 0 if the device keeps them.
  virtual int32_t survivor_heads() const = 0;
  /// Where the watcher is to put queries; nullptr if the context's policy needs none.
  virtual QueryStore *queries() = 0;
  /// Bytes on the host and on devices, queries included.
  virtual size_t bytes() const = 0;
  /// Makes the working memory large enough for evictions with `params`.
  virtual void reserve(const vase_params &params) = 0;

  /// Evicts sequences down to their budgets: chooses rows, has the cells with the oldest labels
  /// freed, moves what is kept out of them, and updates `rows`; a sequence within its budget is
  /// left alone. Throws Error if libvase refuses. Where that happens, or `free_labels` says false,
  /// the sequence is as it was: all is chosen before anything is freed or moved. (On a CUDA device,
  /// where choosing and moving are one call, all that libvase could refuse of all layers is asked
  /// before. If the device itself fails, the sequences of the call are lost.)
  virtual void evict(std::span<Eviction> evictions, const FreeLabels &free_labels) = 0;

  /// Gives the sequence `to` what is kept here of the sequence `from`. The caller copies the rows.
  virtual void copy(int32_t from, int32_t to) = 0;

  /// What is kept here of a sequence, and takes it back, here or in another evictor of the same
  /// layers. `rows`: of the sequence; its cells need not be those it was saved with. restore()
  /// throws Error, and changes nothing, if `kept` is of other layers.
  virtual KeptOfSequence save(int32_t stream, const SequenceRows &rows) const = 0;
  virtual void restore(int32_t stream, const SequenceRows &rows, const KeptOfSequence &kept) = 0;

  /// Token position of each row of a head, in the order of rows.cells(). `head` within the layer.
  virtual std::vector<int32_t> positions(int32_t stream, size_t layer, int32_t head,
                                         const SequenceRows &rows) const = 0;
};

/// The evictor for caches that lie where `layers` say: CUDA kernels if all rows are on CUDA devices
/// (and this build has them), else the CPU, through copies of the rows it cannot reach. `layers`
/// must outlive it. `params`: the largest budget, and whether queries are kept. `cells`: the most
/// rows a head can hold.
std::unique_ptr<Evictor> make_evictor(const vase_params &params, std::span<const CacheLayer> layers,
                                      int32_t cells, int32_t n_sequences, int n_threads);

/// What the values of one head say, for those who want to look at it.
struct ValueReport {
  std::vector<float> ranges;  ///< max - min of each row's value, in the order of rows.cells()
  int32_t n_protected = 0;    ///< rows that `eviction` would protect for them
};
/// `rows`: of the sequence; `positions`: of the head's rows, as Evictor has them. Reads the cache
/// through the host.
ValueReport look_at_values(const CacheLayer &layer, int32_t head, const Eviction &eviction,
                           const SequenceRows &rows, std::span<const int32_t> positions);

}  // namespace vase

#endif
