#include <string>
#include <vector>

#include "llama/owned/context_state.hpp"

namespace vase {

// llama.cpp copies the cells at the start of its next decode. An eviction in between would move
// rows that are not there yet, so one that is due comes first; the next one needs new tokens, and
// those a decode.
void ContextState::copy(int32_t from, int32_t to) {
  if (from == to) return;
  Sequence &target = sequence(to);
  if (eviction_due(sequence(from))) evict({from});
  const uint32_t draw_stream = target.draw_stream;
  target = sequence(from);
  target.draw_stream = draw_stream;
  target.first_logits = -1;
  if (evictor) evictor->copy(from, to);
  llama_memory_seq_cp(llama_get_memory(context.get()), from, to, -1, -1);
}

}  // namespace vase
