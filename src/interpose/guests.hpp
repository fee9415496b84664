// Which contexts and memories of the process are bounded.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "interpose/guest.hpp"
#include "llama.h"

namespace vase::interpose {

/// The guest whose context or memory that is; nullptr if it is not bounded, or if this thread's
/// calls are meant for libllama (Aside). Valid until the program frees the context.
Guest *guest_of(const llama_context *context);
Guest *guest_of(llama_memory_t memory);
void add_guest(std::unique_ptr<Guest> guest);
/// Ends the guest of a context that the program frees: true if there was one, and then the context
/// is free.
bool remove_guest(llama_context *context);

/// All that are there, in the order in which they were made.
std::vector<GuestView> guest_views();
/// A head of the guest of that number. Throws Error if there is none.
observe::HeadView look_at_guest(int64_t number, int32_t sequence, int32_t layer, int32_t head);

/// A model without weights, loaded to see what it would take.
void note_weightless(const llama_model *model);
bool is_weightless(const llama_model *model);
void forget_model(const llama_model *model);

/// The settings of `vase exec`; nullptr if this process was not started by it.
const Settings *settings();

}  // namespace vase::interpose
