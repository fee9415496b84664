// Which cell each token of a decode got.
#ifndef VASE_LLAMA_GRAPH_PLACEMENTS_HPP
#define VASE_LLAMA_GRAPH_PLACEMENTS_HPP

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ggml.h"
#include "llama/graph/graph_taps.hpp"

namespace vase {

/// Where a token of a decode went. llama.cpp gives every sequence its own stream of cells, so the
/// stream is the sequence.
struct Placement {
  int32_t sequence;
  int32_t cell;
};

/// Reads placements off the tensor of cell numbers that a graph writes rows by, and holds that
/// tensor (GraphTaps), so that a graph that runs again can be asked after it.
class Placements {
 public:
  /// `cells`: of each sequence's stream.
  explicit Placements(int32_t cells) : cells_(cells) {}

  /// Holds tensors like `indices`, of up to `n_sequences` tokens.
  void hold_like(const ggml_tensor *indices, int32_t n_sequences);

  void begin_decode();
  /// A ubatch begins; `indices` says where its tokens go: [tokens] of sequence * cells + cell, a
  /// sequence after another.
  void begin_ubatch(ggml_tensor *indices);
  /// The graph of the ubatch before ran again, unseen. Only if held().
  void repeat_ubatch();
  /// After the decode, if one graph ran: holds its tensor from now on.
  void redirect() { tap_.redirect(); }
  /// Forgets the decode and what is held of it.
  void fail();

  /// What the ubatch before tells of its cells stays where it is until it runs again.
  bool held() const { return held_.has_value(); }
  /// Of this decode.
  int32_t ubatches() const { return ubatches_; }
  const std::vector<Placement> &all() const { return all_; }
  /// Of the last ubatch.
  std::span<const Placement> of_ubatch() const { return std::span(all_).subspan(ubatch_begin_); }

 private:
  void read(const ggml_tensor *indices);

  int32_t cells_;
  GraphTaps tap_;
  std::optional<ggml_tensor> held_;
  int32_t ubatches_ = 0;
  size_t ubatch_begin_ = 0;
  std::vector<int64_t> indices_;
  std::vector<Placement> all_;
};

}  // namespace vase

#endif
