// What llama.cpp logs: hidden unless asked for, but its errors are kept, so that a failing call
// can say why it failed.
#pragma once

#include <string>

namespace vase::engine {

/// Starts llama.cpp and takes over its log for the whole process. Call it before anything else of
/// the engine. `verbose`: show the log.
void init_llama(bool verbose);

/// The first error that llama.cpp logged since the last call, without the name of the function
/// that said so; "" if there was none. The first, because the later ones only repeat that a caller
/// failed.
std::string take_log_error();

}  // namespace vase::engine
