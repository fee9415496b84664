// Ctrl-C and SIGTERM: the program stops within a step, with its summary.
#pragma once

#include <stdexcept>

#include "llama.h"

namespace vase::cli {

/// Thrown to end the program after a signal, when all that had to be said was said.
class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

/// Takes over SIGINT and SIGTERM, and ignores SIGPIPE so that a closed pipe is an error of the
/// write that met it. A second signal while the first one has not been acted on ends the process
/// at once.
void install_interrupt_handlers();

/// True if a signal came and was not cleared.
bool interrupted();
/// True once SIGTERM came, which is never cleared: it ends the program, not a turn.
bool terminated();
/// Says that a Ctrl-C was acted on; the next one counts as the first.
void clear_interrupt();
/// Makes a decode() of a context with these parameters throw vase::Stopped after a signal, in the
/// middle of a batch.
void stop_decoding_on_interrupt(llama_context_params &params);
/// 128 + the number of the last signal, as shells count.
int interrupt_exit_code();

}  // namespace vase::cli
