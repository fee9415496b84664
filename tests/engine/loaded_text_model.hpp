// The tiny model of text_model.hpp, in memory.
#pragma once

#include <memory>

#include "../llama/tiny_models.hpp"
#include "engine/log.hpp"
#include "engine/model.hpp"
#include "text_model.hpp"

namespace vase::engine::test {

inline std::unique_ptr<Model> loaded_text_model(Bytes bytes = Bytes::none) {
  init_llama(false);
  const tests::TemporaryFolder folder;
  write_text_model(folder / "text.gguf", "", bytes);
  return std::make_unique<Model>(ModelOptions{.path = folder / "text.gguf", .n_gpu_layers = 0});
}

}  // namespace vase::engine::test
