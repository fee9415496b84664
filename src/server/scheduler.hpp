// Gives the slots of one bounded context to the requests that wait, and runs the engine.
//
// One thread owns context and generator; all others hand tasks over and take pieces out of them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/generator.hpp"
#include "observe/cache_view.hpp"
#include "server/metrics.hpp"
#include "server/task.hpp"

namespace vase::server {

using observe::SlotStatus;

class Scheduler {
 public:
  /// All must outlive this. `queue_limit`: answers that may wait while all slots are busy.
  Scheduler(const engine::Model &model, BoundedContext &context, std::int32_t prompt_chunk,
            std::size_t queue_limit, Metrics &metrics);
  ~Scheduler();

  /// Takes a task into the queue. Throws ApiError: 429 if the queue is full, 503 while draining.
  void submit(const std::shared_ptr<Task> &task);

  /// Runs `look` between two steps and waits for it. Throws what it throws.
  void between_steps(const std::function<void(const BoundedContext &)> &look);

  std::vector<SlotStatus> slots() const;
  std::size_t queue_length() const;

  /// Accepts no more tasks.
  void begin_drain();
  /// Waits until nothing is waiting or running; false if that takes longer.
  bool wait_until_idle(std::chrono::duration<double> limit);
  /// Ends all that is waiting or running as aborted, and the thread.
  void stop();

 private:
  struct Waiting {
    std::shared_ptr<Task> task;
    std::size_t answer = 0;
  };
  struct Slot {
    std::shared_ptr<Task> task;  // nullptr: free
    std::size_t answer = 0;
    double queue_seconds = 0;
    std::int64_t evictions_counted = 0;
    std::int64_t alarms_counted = 0;
    std::int64_t prompt_counted = 0;
  };
  struct Look;

  // All below run on the engine's thread; those named with "locked" want the mutex held.
  void run();
  bool wait_for_work();
  void run_looks();
  void drop_ended();
  bool has_to_end(const std::shared_ptr<Task> &task);
  void end_task(const std::shared_ptr<Task> &task, Outcome outcome,
                const std::string &failure = {});
  void admit();
  void start(std::int32_t slot, const Waiting &waiting);
  void step();
  void deliver(const engine::Event &event);
  void free_slots_of_ended_tasks();
  void free_slot(std::int32_t slot);
  void count_progress(std::int32_t slot);
  void note_length(std::int64_t tokens);
  void fail_all(const std::string &why);
  void publish();
  void announce_ends();
  AnswerStatistics statistics(std::int32_t slot) const;
  SlotStatus status(std::int32_t slot) const;

  // For submit().
  std::int64_t seconds_to_wait_locked() const;

  BoundedContext &context_;
  engine::Generator generator_;
  std::int64_t n_ctx_train_;
  bool noted_length_ = false;
  std::size_t queue_limit_;
  Metrics &metrics_;
  std::vector<Slot> slots_;
  std::vector<std::shared_ptr<Task>> ended_;  // not announced yet

  mutable std::mutex mutex_;
  std::condition_variable work_;  // for the engine: something to do
  std::condition_variable idle_;  // for wait_until_idle()
  std::deque<Waiting> queue_;
  std::deque<std::shared_ptr<Look>> looks_;
  std::vector<SlotStatus> statuses_;
  std::size_t n_busy_ = 0;
  double typical_seconds_ = 1;  // of an answer, moving average
  bool draining_ = false;
  bool stopping_ = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace vase::server
