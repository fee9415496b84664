// The functions of libllama that build batches whose tokens cannot be read back.
#include "interpose/batch_notes.hpp"
#include "interpose/real.hpp"

using namespace vase::interpose;

VASE_IN_FRONT void llama_batch_ext_free(llama_batch_ext *batch) {
  forget_batch(batch);
  VASE_REAL(llama_batch_ext_free)(batch);
}

VASE_IN_FRONT void llama_batch_ext_clear(llama_batch_ext *batch) {
  forget_batch(batch);
  VASE_REAL(llama_batch_ext_clear)(batch);
}

VASE_IN_FRONT int32_t llama_batch_ext_add(llama_batch_ext *batch, llama_seq_id sequence) {
  const int32_t index = VASE_REAL(llama_batch_ext_add)(batch, sequence);
  note_token(batch, index, sequence, LLAMA_TOKEN_NULL);
  return index;
}

VASE_IN_FRONT int32_t llama_batch_ext_add_token(llama_batch_ext *batch, llama_seq_id sequence,
                                                llama_token token) {
  const int32_t index = VASE_REAL(llama_batch_ext_add_token)(batch, sequence, token);
  note_token(batch, index, sequence, token);
  return index;
}

VASE_IN_FRONT int32_t llama_batch_ext_add_embd(llama_batch_ext *batch, llama_seq_id sequence,
                                               llama_embd embedding) {
  const int32_t index = VASE_REAL(llama_batch_ext_add_embd)(batch, sequence, embedding);
  note_token(batch, index, sequence, LLAMA_TOKEN_NULL);
  return index;
}

VASE_IN_FRONT bool llama_batch_ext_set_output_logits(llama_batch_ext *batch, int32_t index,
                                                     bool value) {
  const bool done = VASE_REAL(llama_batch_ext_set_output_logits)(batch, index, value);
  if (done) note_output(batch, index, value);
  return done;
}

VASE_IN_FRONT bool llama_batch_ext_set_output_embd(llama_batch_ext *batch, int32_t index,
                                                   bool value) {
  const bool done = VASE_REAL(llama_batch_ext_set_output_embd)(batch, index, value);
  if (done) note_output(batch, index, value);
  return done;
}
