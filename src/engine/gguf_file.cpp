#include "engine/gguf_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gguf.h"
#include "llama/plan/memory_plan.hpp"
#include "vase/llama.hpp"

namespace vase::engine {

std::string to_string(const TensorShape &shape) {
  std::string text = fmt::format("{} x {}", shape[0], shape[1]);
  if (shape[2] > 1 || shape[3] > 1) text += fmt::format(" x {}", shape[2]);
  if (shape[3] > 1) text += fmt::format(" x {}", shape[3]);
  return text;
}

void GgufFile::Deleter::operator()(gguf_context *context) const { gguf_free(context); }

GgufFile::GgufFile(const std::filesystem::path &path) : path_(path) {
  check_gguf(path.string());
  context_.reset(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}));
  if (!context_) throw Error(fmt::format("cannot read {}", path.string()));
}

std::string GgufFile::string(const char *key) const {
  const std::int64_t id = gguf_find_key(context_.get(), key);
  if (id < 0 || gguf_get_kv_type(context_.get(), id) != GGUF_TYPE_STRING) return {};
  return gguf_get_val_str(context_.get(), id);
}

std::vector<std::string> GgufFile::tensor_names() const {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < gguf_get_n_tensors(context_.get()); ++i) {
    names.emplace_back(gguf_get_tensor_name(context_.get(), i));
  }
  return names;
}

std::optional<TensorShape> GgufFile::shape(const std::string &tensor) const {
  const std::int64_t id = gguf_find_tensor(context_.get(), tensor.c_str());
  if (id < 0) return std::nullopt;
  TensorShape shape{};
  std::copy_n(gguf_get_tensor_ne(context_.get(), id), shape.size(), shape.begin());
  return shape;
}

bool GgufFile::is_split() const { return gguf_find_key(context_.get(), "split.count") >= 0; }

}  // namespace vase::engine
