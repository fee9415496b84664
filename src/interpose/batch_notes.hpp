// What is known of the tokens of a batch: llama_batch shows them, llama_batch_ext does not.
#pragma once

#include <cstdint>
#include <vector>

#include "llama.h"

namespace vase::interpose {

struct TokenNote {
  llama_seq_id sequence;
  bool output;        ///< logits are wanted
  llama_token token;  ///< LLAMA_TOKEN_NULL: an embedding
};
using BatchNotes = std::vector<TokenNote>;

/// Of a batch as llama_decode takes it.
BatchNotes notes_of(const llama_batch &batch);

/// Notes of the batches that a program builds with llama_batch_ext_*, kept as they are built. Safe
/// for several threads.
void forget_batch(const llama_batch_ext *batch);
void note_token(const llama_batch_ext *batch, int32_t index, llama_seq_id sequence,
                llama_token token);
void note_output(const llama_batch_ext *batch, int32_t index, bool output);
BatchNotes notes_of(const llama_batch_ext *batch);

}  // namespace vase::interpose
