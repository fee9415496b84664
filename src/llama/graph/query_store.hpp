// Where captured queries go.
#ifndef VASE_LLAMA_GRAPH_QUERY_STORE_HPP
#define VASE_LLAMA_GRAPH_QUERY_STORE_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include "ggml.h"

namespace vase {

/// A token of a running ubatch whose query is wanted: where it lies, and where it goes.
struct WantedQuery {
  int64_t stream;  ///< of the query tensor
  int64_t token;   ///< within that stream
  int32_t sequence;
  int32_t slot;  ///< token index % window
};

/// What a layer's attention reads: [dim, tokens of a stream, heads, streams].
struct LayerQueries {
  size_t layer;
  const ggml_tensor *queries;
};

/// The newest `window` queries of every sequence at every bounded layer, in the memory of whoever
/// evicts. Token t of a sequence has slot t % window, so a full ring looks the same however its
/// tokens were batched.
class QueryStore {
 public:
  virtual ~QueryStore() = default;

  virtual int32_t window() const = 0;
  virtual size_t bytes() const = 0;
  /// Copies the wanted tokens' queries out of tensors that are computed and will be overwritten as
  /// soon as this returns. All layers have the same tokens. Must not throw: llama.cpp is the
  /// caller's caller.
  virtual void store(std::span<const LayerQueries> layers,
                     std::span<const WantedQuery> wanted) noexcept = 0;
};

}  // namespace vase

#endif
