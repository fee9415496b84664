// Watches llama.cpp's graph while it runs: hands its nodes to those who look for layers
// (Discovery), for cells (Placements) and for queries (QueryTap).
#ifndef VASE_LLAMA_GRAPH_WATCHER_HPP
#define VASE_LLAMA_GRAPH_WATCHER_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ggml.h"
#include "llama/graph/callback_switch.hpp"
#include "llama/graph/compatibility.hpp"
#include "llama/graph/discovery.hpp"
#include "llama/graph/placements.hpp"
#include "llama/graph/query_tap.hpp"

namespace vase {

class Watcher {
 public:
  /// `cells`: of each sequence's stream in a layer that is to be bounded.
  Watcher(int32_t cells, int32_t n_sequences, const Compatibility &compatible = compatibility());
  Watcher(const Watcher &) = delete;
  Watcher &operator=(const Watcher &) = delete;

  /// For llama_context_params.cb_eval, with the watcher as user data.
  static bool callback(ggml_tensor *node, bool ask, void *watcher);

  /// Finds the layers: run one llama_decode of sequence 0 between these two. end_discovery() throws
  /// Error if there is something that cannot be bounded.
  void begin_discovery();
  void end_discovery();

  /// Layers to evict from, in the order of the graph.
  const std::vector<CacheLayer> &layers() const { return discovery_.layers(); }
  /// Adds what was measured of a layer's queries to it.
  void set_calibration(size_t layer, std::vector<float> calibration) {
    discovery_.layers()[layer].calibration = std::move(calibration);
  }
  /// Bytes of all cache tensors, sliding-window layers included.
  size_t cache_bytes() const { return discovery_.cache_bytes(); }
  /// Positions that the model has learned vectors for; 0 if it looks none up.
  int64_t position_table() const { return discovery_.position_table(); }
  /// Which short cuts it takes.
  const Compatibility &compatible() const { return compatible_; }

  /// Gives the newest queries of every sequence to `store`, which must outlive this, from now on.
  /// nullptr: nobody wants any. Call it before another llama_decode runs.
  void capture_queries(QueryStore *store);
  /// Lets steps run without the callback where nothing depends on it, if that is compatible.
  void sleep_by(const CallbackSwitch &callback_switch);
  /// Bytes that the queries of a step are held in.
  size_t tap_bytes() const { return query_tap_.bytes(); }
  double capture_seconds() const { return query_tap_.seconds(); }
  void reset_capture_seconds() { query_tap_.reset_seconds(); }

  /// Call these two around each llama_decode, the second after llama_synchronize. `sequences`: of
  /// each token of the batch; none if they are not known, and then the callback stays. `wishes`:
  /// which queries are wanted, by sequence.
  void begin_decode(std::span<const llama_seq_id> sequences, std::span<const QueryWish> wishes);
  void end_decode(bool succeeded);
  /// Of the last llama_decode, in the order in which its tokens ran; none of one that failed.
  const std::vector<Placement> &placements() const { return placements_.all(); }

 private:
  bool ask(ggml_tensor *node);
  bool all_held() const;

  Compatibility compatible_;
  int32_t n_sequences_;
  Discovery discovery_;
  bool discovering_ = false;
  Placements placements_;
  QueryTap query_tap_;
  CallbackSwitch switch_;
  // Of the running llama_decode, or the one before.
  std::vector<llama_seq_id> batch_;
  bool asleep_ = false;  // it runs without the callback
};

/// Runs one token through the model of an empty context, for the sake of its graph; the context is
/// empty again afterwards. Touches the weights, which the first decode would do anyway. Returns the
/// status of llama_decode.
int32_t decode_one_token(llama_context *context);

/// Does so to see the layers, so that a model that cannot be bounded is refused before any text is
/// read. Unless the status is 0 nothing was found. Throws Error as Watcher::end_discovery() does.
int32_t discover_layers(Watcher &watcher, llama_context *context);

}  // namespace vase

#endif
