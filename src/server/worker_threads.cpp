#include "server/worker_threads.hpp"

#include <utility>

namespace vase::server {

WorkerThreads::Taken WorkerThreads::enqueue(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  if (!idle_.empty()) {
    Worker *worker = idle_.back();
    idle_.pop_back();
    worker->job = std::move(job);
    worker->wake.notify_one();
  } else if (workers_.size() < most_) {
    Worker &worker = *workers_.emplace_back(std::make_unique<Worker>());
    worker.job = std::move(job);
    worker.thread = std::thread([this, &worker] { run(worker); });
  } else {
    waiting_.push_back(std::move(job));
  }
  return Taken(true);
}

void WorkerThreads::run(Worker &worker) {
  do {
    std::exchange(worker.job, nullptr)();
  } while (wait_for_job(worker));
}

bool WorkerThreads::wait_for_job(Worker &worker) {
  std::unique_lock lock(mutex_);
  if (!waiting_.empty()) {
    worker.job = std::move(waiting_.front());
    waiting_.pop_front();
    return true;
  }
  idle_.push_back(&worker);
  worker.wake.wait(lock, [&] { return worker.job != nullptr || stopping_; });
  return worker.job != nullptr;
}

void WorkerThreads::shutdown() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto &worker : workers_) worker->wake.notify_one();
  }
  for (const auto &worker : workers_) worker->thread.join();
}

}  // namespace vase::server
