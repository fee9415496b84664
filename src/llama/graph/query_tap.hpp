// Copies the newest queries out of llama.cpp's graph.
#ifndef VASE_LLAMA_GRAPH_QUERY_TAP_HPP
#define VASE_LLAMA_GRAPH_QUERY_TAP_HPP

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "ggml.h"
#include "llama/graph/graph_taps.hpp"
#include "llama/graph/placements.hpp"
#include "llama/graph/query_store.hpp"

namespace vase {

/// Of a sequence, before a decode.
struct QueryWish {
  int64_t tokens = 0;                                  ///< it has
  int64_t from = std::numeric_limits<int64_t>::max();  ///< queries from this token on are wanted
};

class QueryTap {
 public:
  /// Gives queries to `store`, which must outlive this. `queries`: what each layer's attention read
  /// in a graph of one token that is still there. `hold_tokens`: the tokens of a step whose queries
  /// are held in memory of their own (GraphTaps); 0: none, all steps stop.
  void start(QueryStore *store, std::span<const ggml_tensor *const> queries, int32_t hold_tokens);
  bool started() const { return store_ != nullptr; }
  /// Bytes that the queries of a step are held in.
  size_t bytes() const { return taps_.bytes(); }
  double seconds() const { return seconds_; }
  void reset_seconds() { seconds_ = 0; }

  /// `wishes`: by sequence; none: nobody wants any.
  void begin_decode(std::span<const QueryWish> wishes);
  /// A ubatch begins whose tokens go to `placements`; that of the one before is over.
  void begin_ubatch(std::span<const Placement> placements);
  /// The graph of the ubatch before ran again, unseen. Only if all_held().
  void repeat_ubatch(std::span<const Placement> placements) { want(placements); }
  void see(ggml_tensor *node);
  /// Whether the graph must stop behind the attention of `layer`: it costs time, so only where
  /// queries are wanted that will be overwritten.
  bool must_stop_at(size_t layer, const ggml_tensor *attention);
  /// The graph has stopped there.
  void store_stopped(size_t layer, const ggml_tensor *attention);
  /// After the decode. `one_graph`: it ran a single graph, whose tensors are held from now on.
  void end_decode(bool succeeded, bool one_graph);

  /// The queries of all layers stay where they are until the graph runs again.
  bool all_held() const { return held_.size() == seen_.size(); }

 private:
  // A tensor that outlives its graph, in a tap.
  struct Held {
    size_t layer;
    ggml_tensor tensor;
  };

  void want(std::span<const Placement> placements);
  void store(std::span<const LayerQueries> layers);
  void store_held();

  QueryStore *store_ = nullptr;
  double seconds_ = 0;
  GraphTaps taps_;  // one a layer
  std::vector<QueryWish> wishes_;

  // Of the running ubatch.
  std::vector<WantedQuery> wanted_;
  std::vector<bool> seen_;  // [layers]: an attention node was
  std::vector<Held> held_;
};

}  // namespace vase

#endif
