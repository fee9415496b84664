#include "python/head_threads.hpp"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/thread_pool.hpp"

namespace vase::python {
namespace {

struct Threads {
  std::mutex mutex;
  int wanted = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::unique_ptr<ThreadPool> pool;
  std::vector<std::vector<std::byte>> workspaces;
  pid_t owner = 0;

  /// The pool of this process. After a fork the parent's threads are not there any more, so what
  /// stands for them is left behind, and others are started.
  ThreadPool& ready() {
    if (owner != getpid()) static_cast<void>(pool.release());
    owner = getpid();
    if (pool == nullptr || pool->workers() != wanted) {
      pool.reset();
      pool = std::make_unique<ThreadPool>(wanted);
      workspaces.resize(static_cast<size_t>(wanted));
    }
    return *pool;
  }
};

/// Lives as long as the process: threads cannot be joined while the interpreter shuts down.
Threads& threads() {
  static Threads& all = *new Threads;
  return all;
}

}  // namespace

std::string for_each_head(int count, size_t bytes, const HeadTask& task) {
  std::string error;
  std::mutex error_mutex;
  const auto run = [&](int index, std::vector<std::byte>& workspace) {
    if (workspace.size() < bytes) workspace.resize(bytes);
    if (task(index, workspace) == VASE_OK) return;
    const std::lock_guard lock(error_mutex);
    error = vase_last_error();
  };

  Threads& all = threads();
  if (const std::unique_lock lock(all.mutex, std::try_to_lock); lock.owns_lock() && count > 1) {
    all.ready().parallel_for(count, [&](int index, int worker) {
      run(index, all.workspaces[static_cast<size_t>(worker)]);
    });
  } else {
    std::vector<std::byte> workspace;
    for (int index = 0; index < count; ++index) run(index, workspace);
  }
  return error;
}

int head_threads() {
  const std::lock_guard lock(threads().mutex);
  return threads().wanted;
}

void set_head_threads(int count) {
  const std::lock_guard lock(threads().mutex);
  threads().wanted = count;
}

}  // namespace vase::python
