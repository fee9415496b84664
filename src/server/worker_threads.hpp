// Threads for connections: the one that became idle last takes the next one.
//
// A thread that has worked keeps some memory (its stack, malloc's small blocks). httplib's own pool
// hands work around, so that in time all its threads hold such memory; here only as many do as
// there were connections at the same time.
#pragma once

#include <httplib.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace vase::server {

class WorkerThreads final : public httplib::TaskQueue {
 public:
  /// Threads are started when they are needed first, `most` of them at most.
  explicit WorkerThreads(std::size_t most) : most_(most) {}

  // httplib since 0.15 wants to hear that the job was taken; before that nothing.
  using Taken = decltype(std::declval<httplib::TaskQueue &>().enqueue(nullptr));

  Taken enqueue(std::function<void()> job) override;
  /// Waits for the jobs that are running or were enqueued.
  void shutdown() override;

 private:
  struct Worker {
    std::function<void()> job;
    std::condition_variable wake;
    std::thread thread;
  };

  void run(Worker &worker);
  /// Returns false when there is nothing more to do, ever.
  bool wait_for_job(Worker &worker);

  std::size_t most_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Worker *> idle_;  // the last one became idle last
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
};

}  // namespace vase::server
