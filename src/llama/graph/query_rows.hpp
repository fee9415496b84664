// Reads queries out of llama.cpp's tensors, wherever they lie.
#ifndef VASE_LLAMA_GRAPH_QUERY_ROWS_HPP
#define VASE_LLAMA_GRAPH_QUERY_ROWS_HPP

#include <cstddef>
#include <span>
#include <vector>

#include "ggml-backend.h"
#include "llama/graph/query_store.hpp"
#include "llama/graph/views.hpp"

namespace vase {

/// Calls use(query, head, values) for each of the `wanted` queries and each query head of a layer;
/// values: [dim]. `staging` holds the queries of one token if they are not on the host.
template <typename Use>
void for_each_query(const LayerQueries &from, std::span<const WantedQuery> wanted,
                    std::vector<float> &staging, const Use &use) {
  const ggml_tensor *q = from.queries;
  const ggml_tensor *storage = storage_of(q);
  const auto heads = static_cast<int32_t>(q->ne[2]);
  const bool on_host = ggml_backend_buffer_is_host(storage->buffer);
  for (const WantedQuery &query : wanted) {
    const size_t token_offset =
        static_cast<size_t>(query.stream) * q->nb[3] + static_cast<size_t>(query.token) * q->nb[1];
    const std::byte *token_heads = nullptr;  // head 0; the others follow q->nb[2] bytes apart
    if (on_host) {
      token_heads = static_cast<const std::byte *>(q->data) + token_offset;
    } else {
      const size_t span =
          static_cast<size_t>(heads - 1) * q->nb[2] + static_cast<size_t>(q->ne[0]) * sizeof(float);
      staging.resize(span / sizeof(float));
      ggml_backend_tensor_get(storage, staging.data(),
                              (q->view_src != nullptr ? q->view_offs : 0) + token_offset, span);
      token_heads = reinterpret_cast<const std::byte *>(staging.data());
    }
    for (int32_t head = 0; head < heads; ++head)
      use(query, head,
          reinterpret_cast<const float *>(token_heads + static_cast<size_t>(head) * q->nb[2]));
  }
}

}  // namespace vase

#endif
