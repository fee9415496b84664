// One accepted request on its way: the engine puts pieces of text in, the thread that talks to the
// client takes them out.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/generator.hpp"
#include "vase/vase.h"

namespace vase::server {

using Clock = std::chrono::steady_clock;

/// How an accepted request ended. Every one ends in exactly one of these.
enum class Outcome {
  completed,  ///< the client was handed all its answers, whole or as long as they may be
  cancelled,  ///< the client went away
  stalled,    ///< the client stopped reading
  timed_out,
  aborted,  ///< the server was shut down
  failed,   ///< the engine could not go on
};
inline constexpr int kOutcomes = 6;
const char *to_string(Outcome outcome);

/// One answer to be generated.
struct Answer {
  engine::Request request = {};
  vase_params policy = {};
  float pin_prompt = 0.0f;
  std::uint32_t draw_stream = 0;  ///< not the slot, so that an outcome does not depend on it
  bool any_draws = false;         ///< nobody said a seed
  bool reuses = true;             ///< may go on from what was read before
  bool ends_unread = false;       ///< what comes of it is not read again if the model thinks (chat)
};

/// What an answer has cost.
struct AnswerStatistics {
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;  ///< of these, those that were not read again
  std::int64_t generated = 0;
  std::int64_t tokens = 0;  ///< in the text, prompt and answer, without what the loop guard dropped
  std::int32_t rows = 0;    ///< that each head held at the end
  std::int64_t evictions = 0;
  std::int64_t loop_alarms = 0;   ///< times that the loop guard went back
  std::int64_t thoughts_cut = 0;  ///< thoughts that were ended because their budget was spent
  std::int64_t rows_moved = 0;
  double queue_seconds = 0;
  double prompt_seconds = 0;
  double generate_seconds = 0;
};

struct Piece {
  std::size_t answer = 0;
  llama_token token = 0;
  bool has_token = false;  ///< a token was generated, perhaps without text yet
  std::string text = {};
  std::vector<engine::TokenLogprob> logprobs = {};
  engine::Finish finish = engine::Finish::none;
  AnswerStatistics statistics = {};  ///< with the last piece of an answer
};

class Task {
 public:
  /// `client_gone` is asked between two steps of the engine until the task has ended.
  Task(std::vector<Answer> answers, Clock::time_point deadline, std::function<bool()> client_gone);

  // For the client's thread.

  /// Waits for the next piece; nullopt when the task has ended and all pieces were taken.
  std::optional<Piece> next();
  /// Says that nobody waits for the rest, and how that came about; waits until the engine has let
  /// go of it. Returns the engine's outcome: `why`, or what it had come to before.
  Outcome abandon(Outcome why);
  /// Once next() has returned nullopt. Completed: all was generated. Whether it reached the client
  /// is for Delivery to say.
  Outcome outcome() const;
  const std::string &failure() const { return failure_; }  ///< the same, of Outcome::failed

  // For the engine's thread.

  const std::vector<Answer> &answers() const { return answers_; }
  Answer take_answer(std::size_t index) { return std::move(answers_[index]); }
  Clock::time_point accepted() const { return accepted_; }
  Clock::time_point deadline() const { return deadline_; }
  /// How the client was lost, if it was.
  std::optional<Outcome> client_lost() const;
  void push(Piece piece);
  bool is_last_answer() const { return unfinished_ == 1; }
  void finish_answer(Piece piece);
  /// Decides how the task ends. Its client hears of it by announce_end(), when all can be seen:
  /// metrics counted, slots free.
  void end(Outcome outcome, const std::string &failure = {});
  bool ended() const { return end_.has_value(); }
  void announce_end();
  /// True at the first call: the time to the first token of a task is measured once.
  bool take_first_token() { return !std::exchange(first_token_seen_, true); }

 private:
  std::vector<Answer> answers_;
  std::size_t unfinished_;
  Clock::time_point accepted_ = Clock::now();
  Clock::time_point deadline_;
  std::function<bool()> client_gone_;
  std::atomic<Outcome> abandoned_ = Outcome::completed;  // that: it was not
  // Of the engine's thread.
  bool first_token_seen_ = false;
  std::optional<Outcome> end_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> pieces_;
  std::optional<Outcome> outcome_;
  std::string failure_;
};

}  // namespace vase::server
