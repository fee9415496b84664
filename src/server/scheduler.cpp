#include "server/scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <future>
#include <utility>

#include "core/training_length.hpp"
#include "engine/thinking_budget.hpp"
#include "server/error.hpp"

namespace vase::server {
namespace {

constexpr std::int64_t kSecondsToRestart = 5;

void say(const std::string &line) { fmt::print(stderr, "vase: {}\n", line); }

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

struct Scheduler::Look {
  const std::function<void(const BoundedContext &)> &look;
  std::promise<void> done = {};
};

Scheduler::Scheduler(const engine::Model &model, BoundedContext &context,
                     const ScheduleOptions &options, Metrics &metrics)
    : context_(context),
      generator_(model, context, options.prompt_chunk),
      model_(model),
      options_(options),
      prompt_cache_(options.prompt_cache),
      n_ctx_train_(model.n_ctx_train()),
      metrics_(metrics),
      slots_(static_cast<std::size_t>(context.options().n_sequences)) {
  if (!options_.cache_folder.empty()) {
    prompt_files_ = std::make_unique<engine::PromptCacheFiles>(
        options_.cache_folder, options_.identity, options_.cache_folder_limit, say);
    prompt_files_->read_into(prompt_cache_);
    prompt_files_->keep(prompt_cache_);
  }
  publish();
  thread_ = std::thread([this] { run(); });
}

Scheduler::~Scheduler() { stop(); }

// ---- for the other threads ----------------------------------------------------------------------

void Scheduler::submit(const std::shared_ptr<Task> &task) {
  {
    const std::lock_guard lock(mutex_);
    if (draining_) {
      metrics_.count_rejection(Rejection::draining);
      throw ApiError(503, "the server is shutting down", "server_error", "", "shutting_down")
          .retry_after(kSecondsToRestart);
    }
    const std::size_t n = task->answers().size();
    const std::size_t places = options_.queue + slots_.size() - n_busy_;
    if (queue_.size() + n > places) {
      metrics_.count_rejection(Rejection::queue_full);
      throw ApiError(429,
                     fmt::format("all {} slots are busy and the queue is full; try again in "
                                 "{} s",
                                 slots_.size(), seconds_to_wait_locked()),
                     "rate_limit_error", "", "queue_full")
          .retry_after(seconds_to_wait_locked());
    }
    metrics_.count_accepted();
    for (std::size_t i = 0; i < n; ++i) queue_.push_back({task, i});
  }
  work_.notify_one();
}

// How long until the queue has moved on by one place, roughly.
std::int64_t Scheduler::seconds_to_wait_locked() const {
  const double seconds = typical_seconds_ / static_cast<double>(slots_.size());
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(std::ceil(seconds)), 1, 60);
}

void Scheduler::between_steps(const std::function<void(const BoundedContext &)> &look) {
  const auto job = std::make_shared<Look>(Look{.look = look});
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) throw ApiError(503, "the server is shutting down", "server_error");
    looks_.push_back(job);
  }
  work_.notify_one();
  job->done.get_future().get();
}

std::vector<SlotStatus> Scheduler::slots() const {
  const std::lock_guard lock(mutex_);
  return statuses_;
}

std::size_t Scheduler::queue_length() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

PromptCacheStatus Scheduler::prompt_cache() const {
  const std::lock_guard lock(mutex_);
  return prompt_cache_status_;
}

void Scheduler::begin_drain() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
}

bool Scheduler::wait_until_idle(std::chrono::duration<double> limit) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, limit, [&] { return queue_.empty() && n_busy_ == 0; });
}

void Scheduler::stop() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = stopping_ = true;
  }
  work_.notify_one();
  if (!thread_.joinable()) return;
  thread_.join();
  if (prompt_files_ == nullptr) return;
  for (std::int32_t slot = 0; slot < std::ssize(slots_); ++slot) put_aside_before_it_is_lost(slot);
  prompt_files_->keep(prompt_cache_);
  prompt_files_.reset();
}

// ---- the engine's thread ------------------------------------------------------------------------

void Scheduler::run() {
  while (wait_for_work()) {
    run_looks();
    drop_ended();
    admit();
    step();
    publish();
    announce_ends();
  }
  for (Slot &slot : slots_) {
    if (slot.task && !slot.task->ended()) end_task(slot.task, Outcome::aborted);
  }
  for (const Waiting &waiting : queue_) {
    if (!waiting.task->ended()) end_task(waiting.task, Outcome::aborted);
  }
  run_looks();
  queue_.clear();
  free_slots_of_ended_tasks();
  publish();
  announce_ends();
}

// Returns false when it is time to stop.
bool Scheduler::wait_for_work() {
  std::unique_lock lock(mutex_);
  work_.wait(lock,
             [&] { return stopping_ || !queue_.empty() || !looks_.empty() || generator_.busy(); });
  return !stopping_;
}

void Scheduler::run_looks() {
  std::deque<std::shared_ptr<Look>> looks;
  {
    const std::lock_guard lock(mutex_);
    looks.swap(looks_);
  }
  for (const auto &job : looks) {
    try {
      job->look(context_);
      job->done.set_value();
    } catch (...) {
      job->done.set_exception(std::current_exception());
    }
  }
}

// Frees slots and places in the queue whose client is gone or whose time is over.
void Scheduler::drop_ended() {
  for (Slot &slot : slots_) {
    if (slot.task) has_to_end(slot.task);
  }
  free_slots_of_ended_tasks();
  const std::lock_guard lock(mutex_);
  std::erase_if(queue_, [&](const Waiting &waiting) { return has_to_end(waiting.task); });
}

bool Scheduler::has_to_end(const std::shared_ptr<Task> &task) {
  if (task->ended()) return true;
  if (const std::optional<Outcome> lost = task->client_lost()) {
    end_task(task, *lost);
  } else if (Clock::now() >= task->deadline()) {
    end_task(task, Outcome::timed_out);
  } else {
    return false;
  }
  return true;
}

// Called once for each task. Whether one whose answers are whole is completed depends on its
// client: Delivery counts it.
void Scheduler::end_task(const std::shared_ptr<Task> &task, Outcome outcome,
                         const std::string &failure) {
  if (outcome != Outcome::completed) {
    metrics_.count_end(outcome, seconds_since(task->accepted()));
  }
  task->end(outcome, failure);
  ended_.push_back(task);
}

void Scheduler::announce_ends() {
  for (const auto &task : ended_) task->announce_end();
  ended_.clear();
}

void Scheduler::admit() {
  while (std::ranges::any_of(slots_, [](const Slot &slot) { return !slot.task; })) {
    Waiting next;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) return;
      next = std::move(queue_.front());
      queue_.pop_front();
      ++n_busy_;
    }
    start(next);
  }
}

// ---- going on from what was read before ---------------------------------------------------------

// Tokens of the prompt that a free slot holds, and nothing else.
std::size_t Scheduler::held_prefix(std::int32_t index, const engine::PrefixWish &wish) const {
  const Slot &slot = slots_[static_cast<std::size_t>(index)];
  const std::size_t shared = engine::shared_prefix(generator_.read_tokens(index), wish.tokens);
  const bool worth_it = shared >= engine::PromptCache::kLeastTokens;
  return worth_it && wish.allows(slot.rule, generator_.evictions(index)) ? shared : 0;
}

// The one that holds most of the prompt already, else the one that nobody has used for longest.
std::int32_t Scheduler::free_slot_for(const engine::PrefixWish &wish) const {
  std::int32_t best = -1;
  std::size_t most = 0;
  for (std::int32_t i = 0; i < std::ssize(slots_); ++i) {
    const Slot &slot = slots_[static_cast<std::size_t>(i)];
    if (slot.task) continue;
    const std::size_t held = held_prefix(i, wish);
    const bool older = best < 0 || slot.freed < slots_[static_cast<std::size_t>(best)].freed;
    if (best < 0 || held > most || (held == most && older)) {
      best = i;
      most = held;
    }
  }
  return best;
}

// What the rows of a slot are now.
engine::ReadingRule Scheduler::rule_now(std::int32_t index) const {
  const Slot &slot = slots_[static_cast<std::size_t>(index)];
  engine::ReadingRule rule = slot.rule;
  // Answers are evicted from as soon as it is due, prompts when the cells are full.
  const std::int64_t of_prompt = slot.evictions_of_prompt;
  if (of_prompt >= 0 && generator_.evictions(index) > of_prompt) rule.as_read = false;
  return rule;
}

void Scheduler::put_aside(std::int32_t index) {
  const std::span<const llama_token> tokens = generator_.read_tokens(index);
  const engine::ReadingRule rule = rule_now(index);
  const std::int64_t evictions = generator_.evictions(index);
  if (tokens.size() < engine::PromptCache::kLeastTokens || prompt_cache_.limit() == 0 ||
      prompt_cache_.holds({.tokens = tokens, .rule = rule, .any_draws = !rule.as_read})) {
    return;
  }
  engine::PutAside one{
      .tokens = {tokens.begin(), tokens.end()}, .rule = rule, .evictions = evictions};
  std::string why = "it takes more than --cache-ram";
  try {
    one.bytes = context_.save(index);
    if (prompt_cache_.put(std::move(one))) {
      if (prompt_files_ != nullptr) prompt_files_->keep(prompt_cache_);
      return;
    }
  } catch (const std::exception &error) {
    why = error.what();
  }
  // Said once: the answers are right without it.
  if (!std::exchange(noted_unkept_, true)) say("a prompt is not put aside: " + why);
}

// The end of an answer, of which the next turn may go on. Not of one that thought: its thoughts are
// not in the next turn.
void Scheduler::put_aside_before_it_is_lost(std::int32_t index) {
  const Slot &slot = slots_[static_cast<std::size_t>(index)];
  if (slot.ends_unread && engine::thinks(model_, generator_.read_tokens(index), slot.prompt_end)) {
    return;
  }
  put_aside(index);
}

// Makes a free slot hold the longest beginning of the prompt that there is, and sets its policy.
// Returns the tokens of that.
std::size_t Scheduler::prepare(std::int32_t index, const Answer &answer,
                               const engine::PrefixWish &wish) {
  Slot &slot = slots_[static_cast<std::size_t>(index)];
  std::size_t held = held_prefix(index, wish);
  const engine::PutAside *aside = prompt_cache_.find(wish);
  if (aside != nullptr && aside->tokens.size() > held) held = 0;
  engine::ReadingRule rule = rule_now(index);
  if (held == 0) {
    put_aside_before_it_is_lost(index);
    generator_.clear(index);
  }
  if (context_.bounded_layers() > 0) {
    context_.set_params(index, answer.policy, answer.pin_prompt);
    context_.set_draw_stream(index, answer.draw_stream);
  }
  if (held == 0) {
    aside = prompt_cache_.find(wish);  // what was put aside now may have pushed it out
    if (aside != nullptr && restore(index, *aside)) {
      held = aside->tokens.size();
      rule = aside->rule;
    }
  }
  const std::span<const llama_token> tokens = wish.tokens.first(held);
  if (held > 0) generator_.take_over(index, {tokens.begin(), tokens.end()});
  const std::int64_t evictions = generator_.evictions(index);
  engine::PrefixWish strict = wish;
  strict.any_draws = false;
  slot.rule = wish.rule;
  slot.rule.as_read = held == 0 || strict.allows(rule, evictions);
  slot.evictions_counted = evictions;
  return held;
}

bool Scheduler::restore(std::int32_t index, const engine::PutAside &aside) {
  try {
    context_.restore(index, aside.bytes);
    return true;
  } catch (const Error &error) {
    say(fmt::format("a prompt that was put aside is read again: {}", error.what()));
    prompt_cache_.drop(&aside);
    return false;
  }
}

void Scheduler::start(const Waiting &waiting) {
  Answer answer = waiting.task->take_answer(waiting.answer);
  std::vector<llama_token> &prompt = answer.request.prompt;
  std::vector<std::size_t> &boundaries = answer.request.boundaries;
  note_length(std::ssize(prompt));
  const bool reuses = answer.reuses && prompt_cache_.limit() > 0;
  const std::span<const llama_token> tokens(prompt.data(), reuses ? prompt.size() : 0);
  const engine::PrefixWish wish{
      .tokens = tokens,
      .rule = {.policy = engine::policy_text(answer.policy, answer.pin_prompt),
               .seed = answer.policy.seed,
               .draw_stream = answer.draw_stream},
      .any_draws = answer.any_draws};
  const std::int32_t index = free_slot_for(wish);
  Slot &slot = slots_[static_cast<std::size_t>(index)];
  slot.task = waiting.task;
  slot.answer = waiting.answer;
  slot.queue_seconds = seconds_since(waiting.task->accepted());
  slot.alarms_counted = slot.prompt_counted = 0;
  try {
    slot.cached = prepare(index, answer, wish);
    slot.ends_unread = answer.ends_unread;
    slot.prompt_end = prompt.size();
    slot.evictions_of_prompt = -1;
    metrics_.count_cached_tokens(static_cast<std::int64_t>(slot.cached));
    prompt.erase(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(slot.cached));
    if (!reuses) boundaries.clear();
    std::erase_if(boundaries, [&](std::size_t at) { return at <= slot.cached; });
    for (std::size_t &at : boundaries) at -= slot.cached;
    generator_.start(index, std::move(answer.request));
  } catch (const std::exception &error) {
    end_task(slot.task, Outcome::failed, error.what());
    free_slots_of_ended_tasks();
  }
}

void Scheduler::step() {
  if (!generator_.busy()) return;
  try {
    const std::span<const engine::Event> events = generator_.step();
    for (const std::int32_t slot : generator_.at_boundary()) put_aside(slot);
    for (const engine::Event &event : events) deliver(event);
  } catch (const std::exception &error) {
    fail_all(error.what());
  }
  for (std::int32_t slot = 0; slot < std::ssize(slots_); ++slot) count_progress(slot);
  free_slots_of_ended_tasks();
}

void Scheduler::deliver(const engine::Event &event) {
  Slot &slot = slots_[static_cast<std::size_t>(event.sequence)];
  if (slot.evictions_of_prompt < 0) {
    slot.evictions_of_prompt = generator_.evictions(event.sequence);
  }
  const bool has_token = event.finish != engine::Finish::end_of_text &&
                         !engine::is_out_of_room(event.finish) &&
                         generator_.statistics(event.sequence).generated > 0;
  Piece piece{.answer = slot.answer,
              .token = event.token,
              .has_token = has_token,
              .text = event.text,
              .logprobs = event.logprobs,
              .finish = event.finish};
  if (slot.task->take_first_token()) {
    metrics_.observe_first_token(seconds_since(slot.task->accepted()));
  }
  if (has_token) metrics_.count_generated_tokens(1);
  if (event.finish == engine::Finish::none) return slot.task->push(std::move(piece));

  count_progress(event.sequence);
  piece.statistics = statistics(event.sequence);
  const std::shared_ptr<Task> task = slot.task;
  free_slot(event.sequence);
  if (task->is_last_answer()) end_task(task, Outcome::completed);
  task->finish_answer(std::move(piece));
}

void Scheduler::count_progress(std::int32_t index) {
  Slot &slot = slots_[static_cast<std::size_t>(index)];
  if (!slot.task) return;
  const engine::GenerationStatistics &text = generator_.statistics(index);
  const std::int64_t evictions = generator_.evictions(index);
  const std::int64_t alarms = text.loop_alarms;
  const std::int64_t prompt = text.prompt_done;
  note_length(static_cast<std::int64_t>(slot.cached) + text.prompt_tokens + text.generated);
  metrics_.count_evictions(evictions - std::exchange(slot.evictions_counted, evictions));
  metrics_.count_loop_alarms(alarms - std::exchange(slot.alarms_counted, alarms));
  metrics_.count_prompt_tokens(prompt - std::exchange(slot.prompt_counted, prompt));
}

// Once, in the log: the first text that is longer than those that the model was trained on.
void Scheduler::note_length(std::int64_t tokens) {
  if (noted_length_) return;
  const std::string line = beyond_training("the text of a request has", tokens, n_ctx_train_);
  if (line.empty()) return;
  noted_length_ = true;
  fmt::print(stderr, "vase: {}\n", line);
}

void Scheduler::free_slots_of_ended_tasks() {
  for (std::int32_t slot = 0; slot < std::ssize(slots_); ++slot) {
    const std::shared_ptr<Task> &task = slots_[static_cast<std::size_t>(slot)].task;
    if (task && task->ended()) free_slot(slot);
  }
}

// The cache stays as it is until the next answer takes the slot, for those who want to look at it.
void Scheduler::free_slot(std::int32_t index) {
  Slot &slot = slots_[static_cast<std::size_t>(index)];
  generator_.cancel(index);
  const double seconds = seconds_since(slot.task->accepted()) - slot.queue_seconds;
  slot.task.reset();
  slot.freed = ++n_freed_;
  const std::lock_guard lock(mutex_);
  typical_seconds_ += 0.1 * (seconds - typical_seconds_);
  --n_busy_;
}

void Scheduler::fail_all(const std::string &why) {
  for (Slot &slot : slots_) {
    if (slot.task && !slot.task->ended()) end_task(slot.task, Outcome::failed, why);
  }
  free_slots_of_ended_tasks();
  for (std::int32_t slot = 0; slot < std::ssize(slots_); ++slot) generator_.clear(slot);
}

AnswerStatistics Scheduler::statistics(std::int32_t index) const {
  const SequenceStatistics cache = context_.statistics(index);
  const engine::GenerationStatistics &text = generator_.statistics(index);
  const auto cached = static_cast<std::int64_t>(slots_[static_cast<std::size_t>(index)].cached);
  return {.prompt_tokens = cached + text.prompt_tokens,
          .cached_tokens = cached,
          .generated = text.generated,
          .tokens = cache.tokens,
          .rows = cache.rows,
          .evictions = generator_.evictions(index),
          .loop_alarms = text.loop_alarms,
          .thoughts_cut = text.thoughts_cut,
          .rows_moved = cache.rows_moved,
          .queue_seconds = slots_[static_cast<std::size_t>(index)].queue_seconds,
          .prompt_seconds = text.prompt_seconds,
          .generate_seconds = text.generate_seconds};
}

SlotStatus Scheduler::status(std::int32_t index) const {
  const SequenceStatistics cache = context_.statistics(index);
  const engine::GenerationStatistics &text = generator_.statistics(index);
  const vase_params &policy = context_.params(index);
  SlotStatus status{
      .tokens = cache.tokens,
      .generated = text.generated,
      .cached = static_cast<std::int64_t>(slots_[static_cast<std::size_t>(index)].cached),
      .rows = cache.rows,
      .budget = policy.budget,
      .evictions = generator_.evictions(index),
      .policy = vase_policy_name(policy.policy)};
  if (text.generate_seconds > 0) {
    status.tokens_per_second = static_cast<double>(text.generated) / text.generate_seconds;
  }
  if (slots_[static_cast<std::size_t>(index)].task) {
    status.state = generator_.reading_prompt(index) ? "prompt"
                   : generator_.rereading(index)    ? "rereading"
                                                    : "generating";
  }
  return status;
}

// Lets the other threads see the slots without waiting for a step.
void Scheduler::publish() {
  std::vector<SlotStatus> statuses;
  for (std::int32_t slot = 0; slot < std::ssize(slots_); ++slot) statuses.push_back(status(slot));
  const std::lock_guard lock(mutex_);
  statuses_ = std::move(statuses);
  prompt_cache_status_ = {.bytes = prompt_cache_.bytes(),
                          .limit = prompt_cache_.limit(),
                          .entries = prompt_cache_.size()};
  if (queue_.empty() && n_busy_ == 0) idle_.notify_all();
}

}  // namespace vase::server
