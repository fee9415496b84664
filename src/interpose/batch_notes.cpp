#include "interpose/batch_notes.hpp"

#include <mutex>
#include <unordered_map>

namespace vase::interpose {
namespace {

struct Noted {
  std::mutex mutex;
  std::unordered_map<const llama_batch_ext *, BatchNotes> batches;
};

// Never destroyed: batches may be freed while the process ends.
Noted &noted() {
  static auto *const all = new Noted;
  return *all;
}

}  // namespace

BatchNotes notes_of(const llama_batch &batch) {
  BatchNotes notes;
  for (int32_t i = 0; i < batch.n_tokens; ++i) {
    const bool has_sequence =
        batch.seq_id != nullptr && batch.n_seq_id != nullptr && batch.n_seq_id[i] > 0;
    // Without a list of outputs llama.cpp gives the last token's.
    const bool output = batch.logits != nullptr ? batch.logits[i] != 0 : i + 1 == batch.n_tokens;
    notes.push_back({has_sequence ? batch.seq_id[i][0] : 0, output,
                     batch.token != nullptr ? batch.token[i] : LLAMA_TOKEN_NULL});
  }
  return notes;
}

void forget_batch(const llama_batch_ext *batch) {
  const std::lock_guard lock(noted().mutex);
  noted().batches.erase(batch);
}

void note_token(const llama_batch_ext *batch, int32_t index, llama_seq_id sequence,
                llama_token token) {
  if (index < 0) return;  // it was refused
  const std::lock_guard lock(noted().mutex);
  BatchNotes &notes = noted().batches[batch];
  notes.resize(static_cast<size_t>(index));
  notes.push_back({sequence, false, token});
}

void note_output(const llama_batch_ext *batch, int32_t index, bool output) {
  const std::lock_guard lock(noted().mutex);
  BatchNotes &notes = noted().batches[batch];
  if (index >= 0 && static_cast<size_t>(index) < notes.size())
    notes[static_cast<size_t>(index)].output = output;
}

BatchNotes notes_of(const llama_batch_ext *batch) {
  const std::lock_guard lock(noted().mutex);
  const auto found = noted().batches.find(batch);
  return found != noted().batches.end() ? found->second : BatchNotes();
}

}  // namespace vase::interpose
