// What a view of a tensor looks at.
#ifndef VASE_LLAMA_GRAPH_VIEWS_HPP
#define VASE_LLAMA_GRAPH_VIEWS_HPP

#include "ggml.h"

namespace vase {

/// The tensor that `tensor` is a view of, itself if it is none. ggml keeps view chains one long.
/// `Tensor`: ggml_tensor, const or not.
template <typename Tensor>
Tensor *storage_of(Tensor *tensor) {
  return tensor->view_src != nullptr ? tensor->view_src : tensor;
}

}  // namespace vase

#endif
