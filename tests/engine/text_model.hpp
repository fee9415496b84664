// Tiny random models that read and write printable ASCII, and adapters for them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace vase::engine::test {

/// Which tokens a model has beside characters of ASCII.
enum class Bytes {
  none,
  of_a_smile,        ///< the four bytes of U+1F600, each a token: the last four, 0xF0 first
  of_a_joined_line,  ///< ">\n\n" is one token, as in Qwen2.5
};

/// A model of architecture llama whose tokens are single characters. `chat_template`: "" for none.
void write_text_model(const std::filesystem::path &path, const std::string &chat_template = "",
                      Bytes bytes = Bytes::none);

struct AdapterShape {
  std::string architecture = "llama";
  std::string tensor = "blk.0.attn_q.weight";
  std::int64_t inputs = 256;
  std::int64_t outputs = 256;
  std::int64_t rank = 2;
};

/// A LoRA adapter that changes one tensor.
void write_adapter(const std::filesystem::path &path, const AdapterShape &shape);

}  // namespace vase::engine::test
