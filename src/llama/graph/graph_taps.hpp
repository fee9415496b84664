// Memory of its own for tensors of llama.cpp's graph, so that what a step computed is still there
// after it.
//
// llama.cpp's allocator gives the memory of a tensor to a later node as soon as its last reader has
// run, so to copy the queries of all layers the graph must be stopped at every layer. But a graph
// that was allocated stays as it is for as long as llama.cpp can reuse it, which in decoding is
// hundreds of steps. So after the first step of a graph some of its tensors, and the views of them,
// are pointed to memory that nobody else is given: from the second step on nothing needs to stop.
#ifndef VASE_LLAMA_GRAPH_GRAPH_TAPS_HPP
#define VASE_LLAMA_GRAPH_GRAPH_TAPS_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ggml-backend.h"
#include "ggml.h"

namespace vase {

/// A copy of `tensor`, which lies in a tap, that can be read when its graph is gone.
ggml_tensor outliving(const ggml_tensor *tensor);

class GraphTaps {
 public:
  /// Adds a tap, numbered from 0, for what was seen as `tensor` in a graph of one token.
  void add(const ggml_tensor *tensor);
  /// Takes memory for graphs of up to `tokens` tokens, on the devices where the tensors lay. Throws
  /// Error if there is not enough.
  void allocate(int32_t tokens);
  size_t bytes() const;

  /// In this run of the graph `tensor` is written to tap `tap`, where it stays until the next run.
  bool hold(size_t tap, const ggml_tensor *tensor) const;

  /// While a graph runs: a node that may be a view of something that is to be redirected.
  void see_view(ggml_tensor *view) {
    if (!taps_.empty()) views_.push_back(view);
  }
  /// The same: a tensor that every run of the graph writes, to be redirected when this one is over.
  /// Without taps nothing is.
  void plan(size_t tap, ggml_tensor *tensor) {
    if (tap < taps_.size()) planned_.push_back({tap, tensor});
  }
  /// Before a graph runs, or when it is not the last one: forgets its nodes.
  void forget();
  /// After a graph has run and before anything else is done with its context: points what was
  /// planned to memory of ours. What does not fit, or lies elsewhere, stays where it is.
  void redirect();

 private:
  struct FreeBuffer {
    void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
  };
  using Buffer = std::unique_ptr<ggml_backend_buffer, FreeBuffer>;
  struct Tap {
    ggml_backend_buffer_type_t device;
    size_t token_bytes;
    size_t bytes = 0;                        // of all that it can hold
    ggml_backend_buffer_t buffer = nullptr;  // nullptr before allocate()
    std::byte *data = nullptr;
  };
  struct Planned {
    size_t tap;
    ggml_tensor *tensor;
  };

  void redirect(const Tap &tap, ggml_tensor *storage);

  std::vector<Tap> taps_;
  std::vector<Buffer> buffers_;
  std::vector<ggml_tensor *> views_;
  std::vector<Planned> planned_;
};

}  // namespace vase

#endif
