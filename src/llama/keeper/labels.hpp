// llama.cpp's labels of cells: which position of which sequence each is said to hold.
#ifndef VASE_LLAMA_KEEPER_LABELS_HPP
#define VASE_LLAMA_KEEPER_LABELS_HPP

#include <cstdint>

#include "llama.h"

namespace vase {

/// What a keeper does to labels; the context is idle then.
class Labels {
 public:
  virtual ~Labels() = default;
  /// Frees the labels [first, end) of a sequence. False if they cannot be freed, and then all are
  /// still there.
  [[nodiscard]] virtual bool remove(int32_t sequence, int64_t first, int64_t end) = 0;
  /// The labels of `to` become those of `from`, rows too. llama.cpp copies the rows at the start of
  /// its next decode.
  virtual void copy(int32_t from, int32_t to) = 0;
  /// Frees all labels. Unlike remove() it lets the cells fill from the first one again. `data`:
  /// rows become zeros.
  virtual void clear(bool data) = 0;
};

constexpr int64_t kAllLabels = -1;  ///< as `end`: to the last

/// Of a context that somebody else owns.
class LlamaLabels final : public Labels {
 public:
  explicit LlamaLabels(const llama_context *context) : memory_(llama_get_memory(context)) {}

  bool remove(int32_t sequence, int64_t first, int64_t end) override {
    return llama_memory_seq_rm(memory_, sequence, static_cast<llama_pos>(first),
                               static_cast<llama_pos>(end));
  }
  void copy(int32_t from, int32_t to) override { llama_memory_seq_cp(memory_, from, to, -1, -1); }
  void clear(bool data) override { llama_memory_clear(memory_, data); }

 private:
  llama_memory_t memory_;
};

}  // namespace vase

#endif
