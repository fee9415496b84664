// What this machine and this process have: memory and processors.
#pragma once

#include <cstdint>
#include <optional>

namespace vase::engine {

/// Bytes that a process can still take without swapping: the kernel's estimate, or what the
/// control group (container) still allows if that is less. nullopt where neither can be read.
std::optional<std::uint64_t> available_memory();

/// Bytes of this process that are in memory now; 0 where that cannot be read.
std::uint64_t resident_memory();

/// Bytes of code of this program, libllama and ggml that are mapped and not resident yet. Decoding,
/// sampling and answering run most of it. 0 where the system does not tell.
std::uint64_t code_not_read_yet();

/// Bytes in use on all GPUs that llama.cpp sees, as they report it: other programs' and the
/// driver's too. 0 without one.
std::uint64_t gpu_memory_in_use();

/// Processors that this process may run on: the default number of threads.
int usable_processors();

}  // namespace vase::engine
