// Lets each decoding step of an unmodified llama.cpp read only some rows of a full cache.
//
//     vase::Selector selector(n_threads);
//     selector.listen(options.context);                  // options.policy: one that does not evict
//     vase::BoundedContext context(model, options);
//     selector.attach(context);
//     selector.select(0, {vase::Selection::kOracle, 512});
//     selector.set_prompt_end(0, prompt.size());
//     context.decode(...); selector.check();
//
// When the attention of a layer is done, it is computed once more over the rows that each query
// head chooses, and written over what llama.cpp computed: the layers behind it read that.
#ifndef VASE_LLAMA_SELECTION_SELECTOR_HPP
#define VASE_LLAMA_SELECTION_SELECTOR_HPP

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/thread_pool.hpp"
#include "ggml.h"
#include "llama/graph/discovery.hpp"
#include "llama/graph/placements.hpp"
#include "llama/selection/device_attention.hpp"
#include "llama/selection/seen_rows.hpp"
#include "llama/selection/selected_attention.hpp"
#include "vase/llama.hpp"

namespace vase {

class Selector {
 public:
  /// `n_threads` compute the attention.
  explicit Selector(int32_t n_threads);
  Selector(const Selector &) = delete;
  Selector &operator=(const Selector &) = delete;

  /// Makes contexts of `params` call this, which must outlive them. For one context.
  void listen(llama_context_params &params);
  /// Finds the layers of that context, whose sequences are empty, and are so afterwards: one token
  /// is decoded. Throws Error, in words, if something of the model is not supported.
  void attach(const BoundedContext &context);

  /// What `sequence` reads from now on; nothing: all. Throws Error if quest is to read fewer than
  /// three pages, or from quantised keys.
  void select(int32_t sequence, std::optional<SelectionParams> params);
  /// The first `tokens` tokens of `sequence` read all rows, whatever is selected.
  void set_prompt_end(int32_t sequence, int64_t tokens);
  /// Throws Error if a step since the last check() could not be read as it must.
  void check();

 private:
  // Of an attention layer of the model that is read over its whole length.
  struct Layer {
    int32_t number = 0;  // among all attention layers
    CacheLayer cache;
    std::vector<SeenRows> keys, values;           // [sequences]
    std::vector<std::vector<PageBounds>> bounds;  // [sequences][KV heads]
  };
  struct Sequence {
    std::optional<SelectionParams> params;
    int64_t prompt_end = 0;
    int32_t rows = 0;  // that were written
  };
  // A token of the running ubatch that selects.
  struct Selecting : PlacedToken {
    int32_t sequence = 0;
  };

  static bool callback(ggml_tensor *node, bool ask, void *selector);
  bool ask(ggml_tensor *node) noexcept;
  void discover(const ggml_tensor *node);
  void begin_ubatch(ggml_tensor *indices);
  void check_step();
  void compute(ggml_tensor *node);
  void compute_on_host(ggml_tensor *node, Layer &layer, AttentionShape &shape);
  DecodedToken token_of(Layer &layer, const Selecting &selecting);
  static void check_layer(const ggml_tensor *node, const CacheLayer &layer);

  ThreadPool pool_;
  std::unique_ptr<DeviceAttention> device_;  // nullptr: none
  bool discovering_ = false;
  std::optional<Discovery> discovery_;
  std::optional<Placements> placements_;
  int32_t attention_layers_ = 0;  // seen while discovering
  std::vector<Layer> layers_;     // as discovery_ numbers them
  std::vector<Sequence> sequences_;
  std::string failure_;  // the first

  // Of the running ubatch.
  std::vector<Selecting> selecting_;
  size_t seen_layers_ = 0;      // whose attention came, if any token selects
  std::vector<Selecting> now_;  // of the layer that the graph stops at
  std::vector<std::byte> queries_;
  std::vector<float> out_, sinks_;
};

}  // namespace vase

#endif
