#include "core/thread_pool.hpp"

namespace vase {

ThreadPool::ThreadPool(int workers) {
  for (int worker = 1; worker < workers; ++worker)
    threads_.emplace_back([this, worker] { wait_for_work(worker); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::parallel_for(int count, const std::function<void(int, int)>& task) {
  {
    const std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    next_ = 0;
    busy_ = static_cast<int>(threads_.size());
    ++round_;
  }
  work_ready_.notify_all();
  take_indices(0);
  std::unique_lock lock(mutex_);
  work_done_.wait(lock, [this] { return busy_ == 0; });
}

void ThreadPool::wait_for_work(int worker) {
  uint64_t seen = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      work_ready_.wait(lock, [&] { return stopping_ || round_ != seen; });
      if (stopping_) return;
      seen = round_;
    }
    take_indices(worker);
    const std::lock_guard lock(mutex_);
    if (--busy_ == 0) work_done_.notify_one();
  }
}

void ThreadPool::take_indices(int worker) {
  // An index is a whole head's eviction, so one lock for each costs nothing.
  for (;;) {
    int index;
    {
      const std::lock_guard lock(mutex_);
      if (next_ == count_) return;
      index = next_++;
    }
    (*task_)(index, worker);
  }
}

}  // namespace vase
