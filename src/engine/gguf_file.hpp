// The header of a GGUF file, read without loading a weight: enough to say what is wrong with it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct gguf_context;

namespace vase::engine {

/// Elements of a tensor along each axis, as ggml counts them; 1 where it has no such axis.
using TensorShape = std::array<std::int64_t, 4>;

/// "576 x 1536".
std::string to_string(const TensorShape &shape);

class GgufFile {
 public:
  /// Throws Error if the file is missing, not a GGUF, or truncated.
  explicit GgufFile(const std::filesystem::path &path);

  const std::filesystem::path &path() const { return path_; }
  /// A string of the metadata; "" if there is none of that name.
  std::string string(const char *key) const;
  std::vector<std::string> tensor_names() const;
  std::optional<TensorShape> shape(const std::string &tensor) const;
  /// True if the model is spread over several files, of which this is one.
  bool is_split() const;

 private:
  struct Deleter {
    void operator()(gguf_context *context) const;
  };
  std::filesystem::path path_;
  std::unique_ptr<gguf_context, Deleter> context_;
};

}  // namespace vase::engine
