// The header of a GGUF file, read without loading a weight: enough to say what is wrong with it.
#ifndef VASE_LLAMA_PLAN_GGUF_FILE_HPP
#define VASE_LLAMA_PLAN_GGUF_FILE_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ggml.h"

struct gguf_context;

namespace vase {

/// Elements of a tensor along each axis, as ggml counts them; 1 where it has no such axis.
using TensorShape = std::array<int64_t, 4>;

/// Large where the vocabulary is: not to be kept for longer than it is asked.
class GgufFile {
 public:
  /// What the file was given as, for what is said of one that cannot be read.
  enum class Role { kModel, kAdapter };

  struct Tensor {
    std::string name;
    ggml_type type;
    TensorShape shape;
    size_t bytes;
  };

  /// Reads the header, once. Throws Error if the file is missing, not a GGUF of a known version, or
  /// does not hold all the tensor data that its header announces.
  explicit GgufFile(const std::string &path, Role role = Role::kModel);

  const std::string &path() const { return path_; }
  /// What the file is, as it says itself: "model", "adapter", "mmproj", ...; "" where it does not.
  std::string type() const { return string("general.type"); }
  /// A string of the metadata; "" if there is none of that name.
  std::string string(const char *key) const;
  /// A list of whole numbers of the metadata; empty if there is none of that name, or one number.
  std::vector<int32_t> integers(const std::string &key) const;
  std::vector<Tensor> tensors() const;
  std::optional<TensorShape> shape(const std::string &tensor) const;
  /// Bytes of all tensors of this file.
  size_t tensor_bytes() const;
  int64_t n_tensors() const;
  /// Number of files that the model is spread over, of which this is one; 1 if it is not.
  int32_t n_parts() const;

 private:
  struct Deleter {
    void operator()(gguf_context *context) const;
  };
  Tensor tensor(int64_t index) const;
  void check_whole() const;

  std::string path_;
  std::unique_ptr<gguf_context, Deleter> context_;
};

}  // namespace vase

#endif
