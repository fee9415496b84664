#include "server/task.hpp"

#include <array>
#include <utility>

namespace vase::server {

const char *to_string(Outcome outcome) {
  constexpr std::array<const char *, kOutcomes> kNames = {"completed", "cancelled", "stalled",
                                                          "timed_out", "aborted",   "failed"};
  return kNames.at(static_cast<std::size_t>(outcome));
}

Task::Task(std::vector<Answer> answers, Clock::time_point deadline,
           std::function<bool()> client_gone)
    : answers_(std::move(answers)),
      unfinished_(answers_.size()),
      deadline_(deadline),
      client_gone_(std::move(client_gone)) {}

std::optional<Piece> Task::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !pieces_.empty() || outcome_; });
  if (pieces_.empty()) return std::nullopt;
  Piece piece = std::move(pieces_.front());
  pieces_.pop_front();
  return piece;
}

Outcome Task::abandon(Outcome why) {
  abandoned_ = why;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return outcome_.has_value(); });
  return *outcome_;
}

std::optional<Outcome> Task::client_lost() const {
  if (const Outcome why = abandoned_; why != Outcome::completed) return why;
  return client_gone_() ? std::optional(Outcome::cancelled) : std::nullopt;
}

Outcome Task::outcome() const {
  const std::lock_guard lock(mutex_);
  return outcome_.value_or(Outcome::failed);
}

void Task::push(Piece piece) {
  {
    const std::lock_guard lock(mutex_);
    pieces_.push_back(std::move(piece));
  }
  changed_.notify_all();
}

void Task::finish_answer(Piece piece) {
  push(std::move(piece));
  --unfinished_;
}

void Task::end(Outcome outcome, const std::string &failure) {
  end_ = outcome;
  failure_ = failure;
}

void Task::announce_end() {
  {
    const std::lock_guard lock(mutex_);
    outcome_ = end_;
  }
  changed_.notify_all();
}

}  // namespace vase::server
