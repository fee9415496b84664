// What the files of a model say before a weight is read.
#ifndef VASE_LLAMA_PLAN_MODEL_HEADER_HPP
#define VASE_LLAMA_PLAN_MODEL_HEADER_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "llama/plan/gguf_file.hpp"

namespace vase {

/// What of a model's headers is needed after they were read; a few numbers, where a header is tens
/// of megabytes if the vocabulary is large.
struct ModelHeader {
  std::string path;         ///< of the model's only or first file
  size_t adapters = 0;      ///< bytes of all tensors of the LoRA adapters that go with it
  size_t adapted = 0;       ///< matrices that they change, each counted for each adapter
  size_t host_weights = 0;  ///< bytes of weights that stay on the host wherever the layers go: the
                            ///< token embedding. 0 where it is the output layer, too, since a copy
                            ///< of it goes with the layers
  /// [layers] KV heads and query heads, where the file has them layer by layer, such as 0 where one
  /// is recurrent; else empty.
  std::vector<int32_t> kv_heads, query_heads;
  size_t repacked = 0;  ///< bytes of repacked_bytes() (repacked.hpp)
};

/// All files of the model whose only or first one is `path`. Throws Error as GgufFile does for
/// each, and if it is an adapter, or another part of a model.
std::vector<GgufFile> open_model(const std::string &path);

/// The header of the model that `files` are. llama.cpp's backends must be there.
ModelHeader header_of(const std::vector<GgufFile> &files);

}  // namespace vase

#endif
