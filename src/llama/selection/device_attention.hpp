// Attention over chosen rows where the cache lies.
#ifndef VASE_LLAMA_SELECTION_DEVICE_ATTENTION_HPP
#define VASE_LLAMA_SELECTION_DEVICE_ATTENTION_HPP

#include <cstdint>
#include <memory>
#include <span>

#include "ggml.h"
#include "llama/selection/selected_attention.hpp"

namespace vase {

/// A token of an attention node, whose queries are [dim, tokens, query heads, streams].
struct PlacedToken {
  SelectionParams params;
  int64_t stream = 0, index = 0;
  int32_t rows = 0;  ///< that it may read, from cell 0 of its stream on
};

class DeviceAttention {
 public:
  virtual ~DeviceAttention() = default;
  /// Computes what attend() does for tokens of `node`, a GGML_OP_FLASH_ATTN_EXT that has been
  /// computed, from its sources and into it; each token has more rows than it reads. False, and
  /// nothing is done, if they do not lie on one device or have types or sizes that it does not
  /// read. Throws Error if the device fails.
  virtual bool attend(const ggml_tensor *node, const AttentionShape &shape,
                      std::span<const PlacedToken> tokens) = 0;
};

/// For CUDA devices; nullptr in a build without them.
std::unique_ptr<DeviceAttention> make_device_attention();

}  // namespace vase

#endif
