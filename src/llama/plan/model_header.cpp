#include "llama/plan/model_header.hpp"

#include <algorithm>

#include "llama.h"
#include "llama/plan/repacked.hpp"
#include "vase/llama.hpp"

namespace vase {
namespace {

void check_type(const GgufFile &file) {
  const std::string type = file.type();
  if (type == "adapter")
    throw Error(file.path() +
                " is a LoRA adapter, not a model: give it with --lora, beside the model");
  if (!type.empty() && type != "model")
    throw Error(file.path() + " is not a model: it says that it is of type \"" + type + "\"");
}

// The path of part `index` of the model whose first of `count` parts is at `path`.
std::string path_of_part(const std::string &path, int32_t index, int32_t count) {
  std::string prefix(path.size() + 1, '\0');
  const int32_t length = llama_split_prefix(prefix.data(), prefix.size(), path.c_str(), 0, count);
  if (length <= 0)
    throw Error(path + " is not the first of the " + std::to_string(count) +
                " files of its model, or was renamed; give the one that ends in -00001-of-...");
  prefix.resize(static_cast<size_t>(length));
  std::string part(prefix.size() + 64, '\0');
  part.resize(static_cast<size_t>(
      llama_split_path(part.data(), part.size(), prefix.c_str(), index, count)));
  return part;
}

}  // namespace

std::vector<GgufFile> open_model(const std::string &path) {
  std::vector<GgufFile> files;
  files.emplace_back(path);
  check_type(files.front());
  const int32_t count = files.front().n_parts();
  for (int32_t i = 1; i < count; ++i) files.emplace_back(path_of_part(path, i, count));
  return files;
}

ModelHeader header_of(const std::vector<GgufFile> &files) {
  std::vector<GgufFile::Tensor> tensors;
  for (const GgufFile &file : files) {
    const std::vector<GgufFile::Tensor> more = file.tensors();
    tensors.insert(tensors.end(), more.begin(), more.end());
  }
  const auto named = [&](const char *name) {
    return std::find_if(tensors.begin(), tensors.end(),
                        [&](const GgufFile::Tensor &tensor) { return tensor.name == name; });
  };
  ModelHeader header;
  header.path = files.front().path();
  const auto embedding = named("token_embd.weight");
  if (embedding != tensors.end() && named("output.weight") != tensors.end())
    header.host_weights = embedding->bytes;
  header.repacked = repacked_bytes(tensors);
  const std::string heads = files.front().string("general.architecture") + ".attention.head_count";
  header.query_heads = files.front().integers(heads);
  header.kv_heads = files.front().integers(heads + "_kv");
  return header;
}

}  // namespace vase
