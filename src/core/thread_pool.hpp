// A few threads that wait for work. Its owner calls parallel_for from one thread at a time.
#ifndef VASE_CORE_THREAD_POOL_HPP
#define VASE_CORE_THREAD_POOL_HPP

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace vase {

class ThreadPool {
 public:
  /// `workers` threads in all, the calling one included; at least 1.
  explicit ThreadPool(int workers);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int workers() const { return static_cast<int>(threads_.size()) + 1; }

  /// Calls task(index, worker) once for each index in 0 .. count - 1, in any order, and returns
  /// when all are done. worker in 0 .. workers() - 1 names the thread, to index per-thread
  /// workspaces. The task must not throw.
  void parallel_for(int count, const std::function<void(int index, int worker)>& task);

 private:
  void wait_for_work(int worker);
  void take_indices(int worker);

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable work_ready_, work_done_;
  const std::function<void(int, int)>* task_ = nullptr;
  int count_ = 0, next_ = 0, busy_ = 0;
  uint64_t round_ = 0;
  bool stopping_ = false;
};

}  // namespace vase

#endif
