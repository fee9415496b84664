// Where one attention layer keeps its keys and values.
#ifndef VASE_LLAMA_GRAPH_CACHE_LAYER_HPP
#define VASE_LLAMA_GRAPH_CACHE_LAYER_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ggml.h"
#include "vase/vase.h"

namespace vase {

/// The row type of a ggml type that libvase can read. Throws Error for the others; `what` names
/// them in the message ("keys", "values").
vase_type row_type(ggml_type type, const char *what);

/// Rows inside one of llama.cpp's persistent cache tensors [elements of all heads, cells, streams].
/// The tensor belongs to the llama_context.
struct CacheRows {
  ggml_tensor *tensor = nullptr;
  int64_t offset = 0;  ///< bytes from the start of a cell to head 0
  vase_rows rows{};    ///< shape and strides; data is unset

  bool on_host() const;
  /// Bytes of one stream.
  size_t stream_bytes() const;
  /// The rows of a stream, in place. Only if on_host().
  vase_rows in_place(int32_t stream) const;
  /// The rows of a stream of which `copy` holds stream_bytes() bytes.
  vase_rows in_copy(std::vector<std::byte> &copy) const;
  void read_stream(int32_t stream, std::vector<std::byte> &copy) const;
  void write_stream(int32_t stream, const std::vector<std::byte> &copy) const;
};

/// How a layer's keys are rotated for their positions: vase_rope, with its frequencies.
struct Rope {
  std::vector<float> frequencies;  ///< of the pairs; empty: not rotated, or in an unknown way
  int32_t stride = 0;
  bool unknown = false;  ///< rotated in a way that vase_rope does not say

  /// Points into this object.
  vase_rope view() const;
};

struct CacheLayer {
  CacheRows keys;
  CacheRows values;  ///< may lie in the keys' tensor (multi-head latent attention)
  int32_t n_heads = 0;
  int32_t n_query_heads = 0;
  float scale = 0;  ///< of the attention logits
  Rope rope;
  std::vector<float> calibration = {};  ///< vase_layer.calibration; empty: nothing was measured
  /// Rows that no attention reads and that belong to the same cells: the keys of an indexer, which
  /// says which rows attention may read. They go where the rows of the only head go.
  std::vector<CacheRows> carried;
  /// The number of the layer whose choice of rows this one makes its own, since both are read by
  /// one indexer's word. None: it chooses.
  std::optional<size_t> chooser;
};

}  // namespace vase

#endif
