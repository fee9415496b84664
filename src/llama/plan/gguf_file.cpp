#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "gguf.h"
#include "llama/plan/log_capture.hpp"
#include "llama/plan/memory_plan.hpp"

namespace vase {
namespace {

struct FreeGguf {
  void operator()(gguf_context *gguf) const { gguf_free(gguf); }
};
using Gguf = std::unique_ptr<gguf_context, FreeGguf>;

std::string in_mebibytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f MiB", static_cast<double>(bytes) / (1024.0 * 1024.0));
  return text;
}

uint64_t check_magic(const std::string &path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    throw Error(path + " is a folder, not a GGUF model file");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error("cannot open the model " + path + ": " + std::strerror(errno));
  char magic[4] = {};
  file.read(magic, sizeof(magic));
  if (file.gcount() != sizeof(magic) || std::memcmp(magic, GGUF_MAGIC, sizeof(magic)) != 0)
    throw Error(path + " is not a GGUF model file (it does not begin with the letters GGUF)");
  return std::filesystem::file_size(path);
}

Gguf check_one(const std::string &path) {
  const uint64_t size = check_magic(path);
  const LogCapture log(false);
  Gguf gguf(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}));
  if (gguf == nullptr)
    throw Error("the header of " + path + " cannot be read; the file is damaged or truncated" +
                log.because());
  uint64_t end = 0;
  for (int64_t i = 0; i < gguf_get_n_tensors(gguf.get()); ++i)
    end = std::max<uint64_t>(end, gguf_get_data_offset(gguf.get()) +
                                      gguf_get_tensor_offset(gguf.get(), i) +
                                      gguf_get_tensor_size(gguf.get(), i));
  if (end > size)
    throw Error(path + " is truncated: its header announces " + in_mebibytes(end) +
                ", the file has " + in_mebibytes(size));
  return gguf;
}

// What a GGUF file is, as it says itself: "model", "adapter", "mmproj", ...; "" where it does not.
std::string type_of(const gguf_context *gguf) {
  const int64_t key = gguf_find_key(gguf, "general.type");
  if (key < 0 || gguf_get_kv_type(gguf, key) != GGUF_TYPE_STRING) return {};
  return gguf_get_val_str(gguf, key);
}

// The other files of a model of which `gguf`, at `path`, is the first.
void check_split(const std::string &path, const gguf_context *gguf) {
  const int64_t key = gguf_find_key(gguf, "split.count");
  if (key < 0 || gguf_get_kv_type(gguf, key) != GGUF_TYPE_UINT16) return;

  const int32_t count = gguf_get_val_u16(gguf, key);
  std::string prefix(path.size() + 1, '\0');
  const int32_t length = llama_split_prefix(prefix.data(), prefix.size(), path.c_str(), 0, count);
  if (count > 1 && length <= 0)
    throw Error(path + " is not the first of the " + std::to_string(count) +
                " files of its model, or was renamed; give the one that ends in -00001-of-...");
  prefix.resize(static_cast<size_t>(length));
  for (int32_t i = 1; i < count; ++i) {
    std::string part(prefix.size() + 64, '\0');
    part.resize(
        static_cast<size_t>(llama_split_path(part.data(), part.size(), prefix.c_str(), i, count)));
    check_one(part);
  }
}

}  // namespace

void check_gguf(const std::string &path) { check_split(path, check_one(path).get()); }

size_t tensor_bytes(const std::string &path) {
  const Gguf gguf = check_one(path);
  size_t bytes = 0;
  for (int64_t i = 0; i < gguf_get_n_tensors(gguf.get()); ++i)
    bytes += gguf_get_tensor_size(gguf.get(), i);
  return bytes;
}

void check_model_file(const std::string &path) {
  const Gguf gguf = check_one(path);
  const std::string type = type_of(gguf.get());
  if (type == "adapter")
    throw Error(path + " is a LoRA adapter, not a model: give it with --lora, beside the model");
  if (!type.empty() && type != "model")
    throw Error(path + " is not a model: it says that it is of type \"" + type + "\"");
  check_split(path, gguf.get());
}

}  // namespace vase
