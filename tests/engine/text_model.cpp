#include "text_model.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>
#include <vector>

#include "../llama/tiny_models.hpp"
#include "ggml.h"
#include "gguf.h"

namespace vase::engine::test {
namespace {

constexpr std::int32_t kNormalToken = 1;
constexpr std::int32_t kControlToken = 3;

struct FreeTensors {
  void operator()(ggml_context *context) const { ggml_free(context); }
};
struct FreeFile {
  void operator()(gguf_context *file) const { gguf_free(file); }
};
using Tensors = std::unique_ptr<ggml_context, FreeTensors>;
using File = std::unique_ptr<gguf_context, FreeFile>;

void write(const File &file, const std::filesystem::path &path) {
  if (!gguf_write_to_file(file.get(), path.c_str(), false)) {
    throw std::runtime_error("cannot write " + path.string());
  }
}

// BOS, EOS, space and newline as byte-level BPE spells them, then as many characters as fit.
std::vector<std::string> vocabulary(Bytes bytes) {
  std::vector<std::string> tokens = {"<s>", "</s>", "\u0120", "\u010A"};
  for (char c = '!'; std::ssize(tokens) < tests::kVocabulary; ++c) tokens.emplace_back(1, c);
  if (bytes == Bytes::none) return tokens;
  if (bytes == Bytes::of_a_joined_line) {
    std::ranges::copy(std::vector<std::string>{">\u010A", ">\u010A\u010A"}, tokens.end() - 2);
    return tokens;
  }
  // 0xF0, 0x9F, 0x98, 0x80 in the same spelling.
  std::ranges::copy(std::vector<std::string>{"\u00F0", "\u0141", "\u013A", "\u0122"},
                    tokens.end() - 4);
  return tokens;
}

void set_vocabulary(gguf_context *file, Bytes bytes) {
  const std::vector<std::string> tokens = vocabulary(bytes);
  std::vector<const char *> pointers;
  for (const std::string &token : tokens) pointers.push_back(token.c_str());
  std::vector<std::int32_t> types(tokens.size(), kNormalToken);
  std::fill_n(types.begin(), 2, kControlToken);
  gguf_set_arr_str(file, "tokenizer.ggml.tokens", pointers.data(), pointers.size());
  gguf_set_arr_data(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());
}

}  // namespace

void write_text_model(const std::filesystem::path &path, const std::string &chat_template,
                      Bytes bytes) {
  tests::write_tiny_model("llama", path);
  ggml_context *tensors_of_file = nullptr;
  const File source(
      gguf_init_from_file(path.c_str(), {.no_alloc = false, .ctx = &tensors_of_file}));
  const Tensors tensors(tensors_of_file);
  const File file(gguf_init_empty());
  gguf_set_kv(file.get(), source.get());
  set_vocabulary(file.get(), bytes);
  if (bytes == Bytes::of_a_joined_line) {
    std::array merges = {"> \u010A", ">\u010A \u010A"};
    gguf_set_arr_str(file.get(), "tokenizer.ggml.merges", merges.data(), merges.size());
  }
  if (!chat_template.empty()) {
    gguf_set_val_str(file.get(), "tokenizer.chat_template", chat_template.c_str());
  }
  for (std::int64_t i = 0; i < gguf_get_n_tensors(source.get()); ++i) {
    const char *name = gguf_get_tensor_name(source.get(), i);
    gguf_add_tensor(file.get(), ggml_get_tensor(tensors.get(), name));
  }
  write(file, path);
}

void write_adapter(const std::filesystem::path &path, const AdapterShape &shape) {
  const Tensors tensors(
      ggml_init({.mem_size = std::size_t{4} << 20U, .mem_buffer = nullptr, .no_alloc = false}));
  const File file(gguf_init_empty());
  gguf_set_val_str(file.get(), "general.type", "adapter");
  gguf_set_val_str(file.get(), "general.architecture", shape.architecture.c_str());
  gguf_set_val_str(file.get(), "adapter.type", "lora");
  gguf_set_val_f32(file.get(), "adapter.lora.alpha", 1);
  const auto add = [&](const char *suffix, std::int64_t inputs, std::int64_t outputs) {
    ggml_tensor *tensor = ggml_new_tensor_2d(tensors.get(), GGML_TYPE_F32, inputs, outputs);
    std::fill_n(static_cast<float *>(tensor->data), ggml_nelements(tensor), 0.05f);
    ggml_set_name(tensor, (shape.tensor + suffix).c_str());
    gguf_add_tensor(file.get(), tensor);
  };
  add(".lora_a", shape.inputs, shape.rank);
  add(".lora_b", shape.rank, shape.outputs);
  write(file, path);
}

}  // namespace vase::engine::test
