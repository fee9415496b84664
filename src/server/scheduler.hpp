// Gives the slots of one bounded context to the requests that wait, and runs the engine.
//
// One thread owns context and generator; all others hand tasks over and take pieces out of them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/generator.hpp"
#include "engine/prompt_cache.hpp"
#include "engine/prompt_cache_files.hpp"
#include "observe/cache_view.hpp"
#include "server/metrics.hpp"
#include "server/task.hpp"

namespace vase::server {

using observe::SlotStatus;

struct ScheduleOptions {
  std::int32_t prompt_chunk = 128;  ///< tokens of prompts between two tokens of the others
  std::size_t queue = 64;           ///< answers that may wait while all slots are busy
  /// Bytes of prompts that are put aside; 0: none, nor is what a slot holds gone on from.
  std::uint64_t prompt_cache = 0;
  std::filesystem::path cache_folder = {};  ///< where they outlive the process; empty: nowhere
  std::uint64_t cache_folder_limit = 0;     ///< bytes of files there
  std::string identity = {};                ///< of the model, for those files
};

/// What of prompts is put aside.
struct PromptCacheStatus {
  std::uint64_t bytes = 0;
  std::uint64_t limit = 0;
  std::size_t entries = 0;
};

class Scheduler {
 public:
  /// All must outlive this. Throws Error if the folder for prompts cannot be used.
  Scheduler(const engine::Model &model, BoundedContext &context, const ScheduleOptions &options,
            Metrics &metrics);
  ~Scheduler();

  /// Takes a task into the queue. Throws ApiError: 429 if the queue is full, 503 while draining.
  void submit(const std::shared_ptr<Task> &task);

  /// Runs `look` between two steps and waits for it. Throws what it throws.
  void between_steps(const std::function<void(const BoundedContext &)> &look);

  std::vector<SlotStatus> slots() const;
  std::size_t queue_length() const;
  PromptCacheStatus prompt_cache() const;

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
    // Of the text that the cache holds, also when the slot is free.
    engine::ReadingRule rule = {};
    bool ends_unread = false;
    std::size_t prompt_end = 0;             // tokens of the prompt
    std::size_t cached = 0;                 // tokens of the prompt that were not read again
    std::int64_t evictions_of_prompt = -1;  // when the prompt had been read; -1: it has not
    std::uint64_t freed = 0;                // when, as a count
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
  void start(const Waiting &waiting);
  std::int32_t free_slot_for(const engine::PrefixWish &wish) const;
  std::size_t held_prefix(std::int32_t slot, const engine::PrefixWish &wish) const;
  std::size_t prepare(std::int32_t slot, const Answer &answer, const engine::PrefixWish &wish);
  bool restore(std::int32_t slot, const engine::PutAside &aside);
  engine::ReadingRule rule_now(std::int32_t slot) const;
  void put_aside(std::int32_t slot);
  void put_aside_before_it_is_lost(std::int32_t slot);
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
  const engine::Model &model_;
  ScheduleOptions options_;
  engine::PromptCache prompt_cache_;
  std::unique_ptr<engine::PromptCacheFiles> prompt_files_;  // null: they end with the process
  bool noted_unkept_ = false;
  std::uint64_t n_freed_ = 0;
  std::int64_t n_ctx_train_;
  bool noted_length_ = false;
  Metrics &metrics_;
  std::vector<Slot> slots_;
  std::vector<std::shared_ptr<Task>> ended_;  // not announced yet

  mutable std::mutex mutex_;
  std::condition_variable work_;  // for the engine: something to do
  std::condition_variable idle_;  // for wait_until_idle()
  std::deque<Waiting> queue_;
  std::deque<std::shared_ptr<Look>> looks_;
  std::vector<SlotStatus> statuses_;
  PromptCacheStatus prompt_cache_status_;
  std::size_t n_busy_ = 0;
  double typical_seconds_ = 1;  // of an answer, moving average
  bool draining_ = false;
  bool stopping_ = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace vase::server
