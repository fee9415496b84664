// Finds the cache tensors of each attention layer while a graph of one token runs.
//
// It knows an attention layer by its GGML_OP_FLASH_ATTN_EXT node and a write to the cache by its
// GGML_OP_SET_ROWS node, so it needs no names of tensors and no list of architectures.
#ifndef VASE_LLAMA_GRAPH_DISCOVERY_HPP
#define VASE_LLAMA_GRAPH_DISCOVERY_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ggml.h"
#include "llama/graph/cache_layer.hpp"
#include "llama/graph/compatibility.hpp"

namespace vase {

class Discovery {
 public:
  /// `cells`: of each sequence's stream in a layer that is to be bounded.
  Discovery(int32_t cells, int32_t n_sequences, const Compatibility &compatible);

  /// A node that is about to be computed. Never throws: llama.cpp is the caller's caller.
  void see(const ggml_tensor *node) noexcept;
  /// All nodes were seen. Throws Error if there is something that cannot be bounded.
  void finish();

  /// Layers to evict from, in the order of the graph.
  const std::vector<CacheLayer> &layers() const { return layers_; }
  std::vector<CacheLayer> &layers() { return layers_; }
  /// The layer that an attention node reads, as a number in layers(); -1 if none of them.
  ptrdiff_t layer_of(const ggml_tensor *attention) const;
  /// The cache tensor of layers() that a graph writes first. All bounded layers get a ubatch into
  /// the same cells, so the write to it tells them all.
  const ggml_tensor *first_written() const { return storages_.front().tensor; }
  /// Bytes of all cache tensors, sliding-window layers included.
  size_t cache_bytes() const;

  /// Rows of the table in which positions are looked up; 0 if there is none.
  int64_t position_table() const { return position_table_; }

  /// Of the graph that was seen, for as long as it is there: the cells that it wrote to, and the
  /// queries of layers().
  const ggml_tensor *indices() const { return storages_.front().indices; }
  const std::vector<const ggml_tensor *> &queries() const { return queries_; }

 private:
  // A cache tensor that the graph writes to.
  struct Storage {
    const ggml_tensor *tensor;
    int32_t rotation;  // elements of a block of the Hadamard rotation of what is written; 0: none
    Rope rope;         // of what is written
    const ggml_tensor *indices;  // where it is written to
    CacheRows indexer;           // if an indexer reads it: its rows
  };

  bool is_bounded(const ggml_tensor *storage) const;
  const Storage *storage_behind(const ggml_tensor *view) const;
  void see_write(const ggml_tensor *node);
  void see_indexer(const ggml_tensor *node);
  void see_attention(const ggml_tensor *node);
  void heed_indexer(CacheLayer &layer);

  int32_t cells_, n_sequences_;
  bool rope_layout_, attention_layout_;
  std::string refusal_;  // the first reason found
  int64_t position_table_ = 0;
  std::vector<Storage> storages_;
  std::vector<CacheLayer> layers_;
  std::vector<const ggml_tensor *> queries_;  // [layers]
  // The rows of the last indexer that was seen, and the layer that carries them, if one was seen.
  CacheRows indexer_;
  std::optional<size_t> carrier_;
  bool picks_other_rows_ = false;  // an indexer reads what does not belong to single tokens
};

}  // namespace vase

#endif
