// What this process has in memory.
#ifndef VASE_LLAMA_PLAN_OWN_MEMORY_HPP
#define VASE_LLAMA_PLAN_OWN_MEMORY_HPP

#include <cstddef>

namespace vase {

/// Gives back to the system what malloc holds back of freed memory: after loading a model, of which
/// the file's metadata is tens of megabytes where the vocabulary is large.
void give_back_freed_memory();

/// Bytes that are resident, after what malloc holds back of freed memory was given back, so that
/// the difference of two calls is what was taken in between, whether or not it took the place of
/// something else. What other threads take counts, too. 0 where the system does not tell.
size_t resident_without_leftovers();

}  // namespace vase

#endif
