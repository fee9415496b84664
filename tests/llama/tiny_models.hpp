// Random-weight models of a few hundred kilobytes, written as GGUF files by the tests themselves.
#ifndef VASE_TESTS_LLAMA_TINY_MODELS_HPP
#define VASE_TESTS_LLAMA_TINY_MODELS_HPP

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "llama.h"

namespace vase::tests {

inline constexpr int32_t kVocabulary = 96;
inline constexpr int32_t kEmbedding = 256;
inline constexpr int32_t kQueryHeads = 4;
inline constexpr int32_t kHeads = 2;
inline constexpr int32_t kHeadDim = 64;
inline constexpr int32_t kTrainingLength = 2048;
inline constexpr int32_t kSlidingWindow = 64;   // of gemma3
inline constexpr int32_t kShortTexts = 512;     // of llama-longrope
inline constexpr int32_t kPositionTable = 512;  // of gpt2
inline constexpr int32_t kLongKernel = 1025;    // of lfm2-long: a state of 1 MiB

/// Writes a model of `architecture` (llama, llama-longrope with frequencies for long texts, qwen2,
/// qwen3, gemma3 with sliding windows, mpt with ALiBi, mpt-no-alibi, gpt2 with a table of
/// positions, lfm2 with a recurrent layer, lfm2-long with one of a large state, mamba) to `path`.
/// Weights depend on the architecture alone.
void write_tiny_model(const std::string &architecture, const std::filesystem::path &path);

/// A folder of its own under the system's temporary folder, removed with all it holds.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  std::filesystem::path operator/(const std::string &name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

struct FreeModel {
  void operator()(llama_model *model) const { llama_model_free(model); }
};
using Model = std::unique_ptr<llama_model, FreeModel>;

Model load_model(const std::filesystem::path &path);
/// Writes the tiny model and loads it.
Model tiny_model(const std::string &architecture);

}  // namespace vase::tests

#endif
