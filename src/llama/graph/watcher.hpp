// Watches llama.cpp's graph while it runs: finds the cache tensors of each attention layer, learns
// into which cells the tokens of a batch go, and copies queries out.
//
// It knows an attention layer by its GGML_OP_FLASH_ATTN_EXT node and a write to the cache by its
// GGML_OP_SET_ROWS node, so it needs no names of tensors and no list of architectures.
#ifndef VASE_LLAMA_GRAPH_WATCHER_HPP
#define VASE_LLAMA_GRAPH_WATCHER_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ggml.h"
#include "llama/graph/cache_layer.hpp"
#include "llama/graph/callback_switch.hpp"
#include "llama/graph/graph_taps.hpp"
#include "llama/graph/query_store.hpp"

namespace vase {

/// Where a token of a decode went. llama.cpp gives every sequence its own stream of cells, so the
/// stream is the sequence.
struct Placement {
  int32_t sequence;
  int32_t cell;
};

class Watcher {
 public:
  /// `cells`: of each sequence's stream in a layer that is to be bounded.
  Watcher(int32_t cells, int32_t n_sequences);
  Watcher(const Watcher &) = delete;
  Watcher &operator=(const Watcher &) = delete;

  /// For llama_context_params.cb_eval, with the watcher as user data.
  static bool callback(ggml_tensor *node, bool ask, void *watcher);

  /// Finds the layers: run one llama_decode of sequence 0 between these two. end_discovery() throws
  /// Error if there is something that cannot be bounded.
  void begin_discovery();
  void end_discovery();

  /// Layers to evict from, in the order of the graph.
  const std::vector<CacheLayer> &layers() const { return layers_; }
  /// Bytes of all cache tensors, sliding-window layers included.
  size_t cache_bytes() const;

  /// Gives the newest queries of every sequence to `store`, which must outlive this, from now on.
  /// nullptr: nobody wants any.
  void capture_queries(QueryStore *store);
  /// Lets steps run without the callback where nothing depends on it.
  void sleep_by(const CallbackSwitch &callback_switch) { switch_ = callback_switch; }
  /// Bytes that the queries of a step are held in.
  size_t tap_bytes() const { return query_taps_.bytes(); }
  /// Of the coming llama_decode, queries of tokens of `sequence` from this index on are wanted.
  void want_queries_from(int32_t sequence, int64_t token_index);
  double capture_seconds() const { return capture_seconds_; }
  void reset_capture_seconds() { capture_seconds_ = 0; }

  /// Call these two around each llama_decode, the second after llama_synchronize. `sequences`: of
  /// each token of the batch.
  void begin_decode(std::span<const llama_seq_id> sequences);
  void end_decode(bool succeeded);
  /// Of the last llama_decode, in the order in which its tokens ran; none of one that failed.
  const std::vector<Placement> &placements() const { return placements_; }
  /// Sets how many tokens `sequence` has been given: after a clear, and after a failed decode.
  void set_token_count(int32_t sequence, int64_t tokens);

 private:
  // A cache tensor that the graph writes to.
  struct Storage {
    const ggml_tensor *tensor;
    int32_t rotation;  // elements of a block of the Hadamard rotation of what is written; 0: none
    Rope rope;         // of what is written
    const ggml_tensor *indices;  // where it is written to; for as long as the graph is there
  };
  // A tensor that outlives its graph, in a tap.
  struct Held {
    size_t tap;
    ggml_tensor tensor;  // a copy
  };
  static Held held_in(size_t tap, const ggml_tensor *tensor);

  bool ask(ggml_tensor *node);
  bool ask_for_queries(const ggml_tensor *attention);
  bool is_bounded(const ggml_tensor *storage) const;
  const Storage *storage_behind(const ggml_tensor *view) const;
  void discover_write(const ggml_tensor *node);
  void discover_attention(const ggml_tensor *node);
  void begin_ubatch(ggml_tensor *indices);
  void read_ubatch(const ggml_tensor *indices);
  bool all_held() const;
  const CacheLayer *layer_of(const ggml_tensor *attention) const;
  size_t index_of(const CacheLayer &layer) const {
    return static_cast<size_t>(&layer - layers_.data());
  }
  void store_queries(std::span<const LayerQueries> layers);
  void store_held();

  int32_t cells_;
  int32_t n_sequences_;
  bool discovering_ = false;
  std::string refusal_;  // the first reason found while discovering
  std::vector<Storage> storages_;
  std::vector<CacheLayer> layers_;

  std::vector<int64_t> indices_;  // of the running ubatch, global: sequence * cells + cell
  std::vector<Placement> placements_;
  std::vector<int64_t> token_count_;  // [n_sequences]

  QueryStore *queries_ = nullptr;
  std::vector<int64_t> wanted_from_;  // [n_sequences]
  double capture_seconds_ = 0;

  CallbackSwitch switch_;
  GraphTaps cell_tap_;    // the indices of a ubatch
  GraphTaps query_taps_;  // the queries of each layer
  // Of the running llama_decode, or the one before.
  std::vector<llama_seq_id> batch_;
  int32_t ubatches_ = 0;
  bool asleep_ = false;  // it runs without the callback

  // Of the running ubatch.
  std::vector<WantedQuery> wanted_;
  std::vector<bool> seen_;          // [layers]: an attention node was
  std::vector<Held> held_queries_;  // of layers
  std::optional<Held> held_indices_;
};

}  // namespace vase

#endif
