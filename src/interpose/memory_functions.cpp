// The functions of libllama that change which tokens a memory holds.
#include "interpose/guests.hpp"
#include "interpose/real.hpp"
#include "interpose/report.hpp"

using namespace vase::interpose;

VASE_IN_FRONT void llama_memory_clear(llama_memory_t memory, bool data) {
  if (Guest *guest = guest_of(memory); guest != nullptr) return guest->clear(data);
  VASE_REAL(llama_memory_clear)(memory, data);
}

VASE_IN_FRONT bool llama_memory_seq_rm(llama_memory_t memory, llama_seq_id sequence,
                                       llama_pos first, llama_pos end) {
  if (Guest *guest = guest_of(memory); guest != nullptr) return guest->seq_rm(sequence, first, end);
  return VASE_REAL(llama_memory_seq_rm)(memory, sequence, first, end);
}

VASE_IN_FRONT void llama_memory_seq_cp(llama_memory_t memory, llama_seq_id from, llama_seq_id to,
                                       llama_pos first, llama_pos end) {
  Guest *guest = guest_of(memory);
  if (guest == nullptr) return VASE_REAL(llama_memory_seq_cp)(memory, from, to, first, end);
  if (!guest->seq_cp(from, to, first, end))
    say("sequence " + std::to_string(from) + " was not copied to " + std::to_string(to) +
        ": only whole sequences can be");
}

VASE_IN_FRONT void llama_memory_seq_keep(llama_memory_t memory, llama_seq_id sequence) {
  if (Guest *guest = guest_of(memory); guest != nullptr) return guest->seq_keep(sequence);
  VASE_REAL(llama_memory_seq_keep)(memory, sequence);
}

// Labels of cells are not the tokens' positions, so they cannot be moved.
VASE_IN_FRONT void llama_memory_seq_add(llama_memory_t memory, llama_seq_id sequence,
                                        llama_pos first, llama_pos end, llama_pos delta) {
  if (guest_of(memory) == nullptr)
    return VASE_REAL(llama_memory_seq_add)(memory, sequence, first, end, delta);
  say("positions were not shifted: a bounded cache needs no context shift, leave it off");
}

VASE_IN_FRONT void llama_memory_seq_div(llama_memory_t memory, llama_seq_id sequence,
                                        llama_pos first, llama_pos end, int divisor) {
  if (guest_of(memory) == nullptr)
    return VASE_REAL(llama_memory_seq_div)(memory, sequence, first, end, divisor);
  say("positions were not divided: self-extend does not go with a bounded cache");
}

VASE_IN_FRONT bool llama_memory_can_shift(llama_memory_t memory) {
  return guest_of(memory) == nullptr && VASE_REAL(llama_memory_can_shift)(memory);
}

VASE_IN_FRONT llama_pos llama_memory_seq_pos_min(llama_memory_t memory, llama_seq_id sequence) {
  if (const Guest *guest = guest_of(memory); guest != nullptr) return guest->seq_pos_min(sequence);
  return VASE_REAL(llama_memory_seq_pos_min)(memory, sequence);
}
