#include "llama/plan/gguf_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "gguf.h"
#include "llama/plan/log_capture.hpp"
#include "vase/llama.hpp"

namespace vase {
namespace {

std::string in_mebibytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f MiB", static_cast<double>(bytes) / (1024.0 * 1024.0));
  return text;
}

std::string name_of(GgufFile::Role role) {
  return role == GgufFile::Role::kAdapter ? "adapter" : "model";
}

// What to give instead. Adapters are mostly published as folders of PEFT.
std::string advice(GgufFile::Role role) {
  if (role != GgufFile::Role::kAdapter) return "";
  return "; --lora takes a LoRA adapter as llama.cpp's convert_lora_to_gguf.py writes it";
}

// Why no header could be read. Asked only then, so that what is in order is opened once.
Error unreadable(const std::string &path, GgufFile::Role role, const std::string &because) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return Error("cannot open the " + name_of(role) + " " + path + ": " + std::strerror(errno) +
                 advice(role));
  char magic[4] = {};
  file.read(magic, sizeof(magic));
  if (file.gcount() != sizeof(magic) || std::memcmp(magic, GGUF_MAGIC, sizeof(magic)) != 0)
    return Error(path + " is not a GGUF " + name_of(role) +
                 " file (it does not begin with the letters GGUF)" + advice(role));
  return Error("the header of " + path + " cannot be read; the file is damaged or truncated" +
               because);
}

}  // namespace

void GgufFile::Deleter::operator()(gguf_context *context) const { gguf_free(context); }

GgufFile::GgufFile(const std::string &path, Role role) : path_(path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    throw Error(path + " is a folder, not a GGUF " + name_of(role) + " file" + advice(role));
  {
    const LogCapture log(false);
    context_.reset(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}));
    if (context_ == nullptr) throw unreadable(path, role, log.because());
  }
  check_whole();
}

void GgufFile::check_whole() const {
  uint64_t end = 0;
  for (int64_t i = 0; i < gguf_get_n_tensors(context_.get()); ++i)
    end = std::max<uint64_t>(end, gguf_get_data_offset(context_.get()) +
                                      gguf_get_tensor_offset(context_.get(), i) +
                                      gguf_get_tensor_size(context_.get(), i));
  const uint64_t size = std::filesystem::file_size(path_);
  if (end > size)
    throw Error(path_ + " is truncated: its header announces " + in_mebibytes(end) +
                ", the file has " + in_mebibytes(size));
}

std::string GgufFile::string(const char *key) const {
  const int64_t id = gguf_find_key(context_.get(), key);
  if (id < 0 || gguf_get_kv_type(context_.get(), id) != GGUF_TYPE_STRING) return {};
  return gguf_get_val_str(context_.get(), id);
}

std::vector<int32_t> GgufFile::integers(const std::string &key) const {
  const int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0 || gguf_get_kv_type(context_.get(), id) != GGUF_TYPE_ARRAY) return {};
  const gguf_type type = gguf_get_arr_type(context_.get(), id);
  if (type != GGUF_TYPE_INT32 && type != GGUF_TYPE_UINT32) return {};
  const auto *first = static_cast<const int32_t *>(gguf_get_arr_data(context_.get(), id));
  return {first, first + gguf_get_arr_n(context_.get(), id)};
}

GgufFile::Tensor GgufFile::tensor(int64_t index) const {
  Tensor tensor{.name = gguf_get_tensor_name(context_.get(), index),
                .type = gguf_get_tensor_type(context_.get(), index),
                .shape = {},
                .bytes = gguf_get_tensor_size(context_.get(), index)};
  std::copy_n(gguf_get_tensor_ne(context_.get(), index), tensor.shape.size(), tensor.shape.begin());
  return tensor;
}

std::vector<GgufFile::Tensor> GgufFile::tensors() const {
  std::vector<Tensor> tensors;
  for (int64_t i = 0; i < gguf_get_n_tensors(context_.get()); ++i) tensors.push_back(tensor(i));
  return tensors;
}

std::optional<TensorShape> GgufFile::shape(const std::string &tensor_name) const {
  const int64_t index = gguf_find_tensor(context_.get(), tensor_name.c_str());
  if (index < 0) return std::nullopt;
  return tensor(index).shape;
}

size_t GgufFile::tensor_bytes() const {
  size_t bytes = 0;
  for (int64_t i = 0; i < gguf_get_n_tensors(context_.get()); ++i)
    bytes += gguf_get_tensor_size(context_.get(), i);
  return bytes;
}

int64_t GgufFile::n_tensors() const { return gguf_get_n_tensors(context_.get()); }

int32_t GgufFile::n_parts() const {
  const int64_t key = gguf_find_key(context_.get(), "split.count");
  if (key < 0 || gguf_get_kv_type(context_.get(), key) != GGUF_TYPE_UINT16) return 1;
  return std::max<int32_t>(1, gguf_get_val_u16(context_.get(), key));
}

}  // namespace vase
