// Work on heads, spread over threads that the package keeps, without the GIL.
#ifndef VASE_PYTHON_HEAD_THREADS_HPP
#define VASE_PYTHON_HEAD_THREADS_HPP

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "vase/vase.h"

namespace vase::python {

/// One head's work, with a workspace that nobody else uses meanwhile.
using HeadTask = std::function<vase_status(int index, std::span<std::byte> workspace)>;

/// Calls task(index, workspace) for index in 0 .. count - 1, a workspace having `bytes` bytes.
/// Returns an empty string, or the message of one task that failed. Must be called without the GIL.
/// If another Python thread is using the threads, this one does its work alone.
std::string for_each_head(int count, size_t bytes, const HeadTask& task);

/// Threads that for_each_head uses, the calling one included.
int head_threads();
void set_head_threads(int threads);

}  // namespace vase::python

#endif
