// The jobs of one phase in one context, as many at a time as it has sequences: when one is done,
// the next takes its place.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/generator.hpp"
#include "eval/dialogue.hpp"
#include "eval/schedule.hpp"
#include "llama/selection/selector.hpp"
#include "vase/llama.hpp"

namespace vase::eval {

/// What the model said to one turn.
struct Reply {
  const Question *turn = nullptr;
  std::vector<llama_token> tokens = {};  ///< generated, without the one that ended them
  bool ended = false;                    ///< the model ended it, not the limit
};

/// What became of a job.
struct Answer {
  const Job *job = nullptr;
  std::vector<Reply> replies = {};  ///< one a turn; fewer if the cache was full before the last
  std::int64_t prompt_tokens = 0;   ///< of all turns, with what closes the answers before
  std::int64_t evictions = 0;
  std::int64_t loop_alarms = 0;  ///< times that the loop guard acted
  std::int32_t most_rows = 0;    ///< of a head, at any time
  double seconds = 0;
  double share_seconds = 0;  ///< each step's time is split evenly among the sequences in it
};

class PhaseRun {
 public:
  /// The request of a turn of a job, without its prompt.
  using RequestOf = std::function<engine::Request(const Job &, const Question &turn)>;
  /// The conversation of a job, from its beginning.
  using DialogueOf = std::function<Dialogue(const Job &)>;

  /// All references must outlive this. `selector`: of the context, if the jobs select. Prompts are
  /// read in full. `prompt_chunk`: prompt tokens in one step, at most.
  PhaseRun(const engine::Model &model, BoundedContext &context, Selector *selector,
           const Phase &phase, const DialogueOf &dialogue_of, const RequestOf &request_of,
           std::int32_t prompt_chunk);

  bool busy() const { return generator_.busy(); }
  /// Sequences at work.
  std::int32_t active() const { return active_; }
  /// Decodes one batch. Returns the jobs that it finished.
  std::vector<Answer> step();

 private:
  using Clock = std::chrono::steady_clock;

  struct Slot {
    Answer answer;
    std::optional<Dialogue> dialogue;
    Clock::time_point started;
  };

  void start_next(std::int32_t sequence);
  void ask(std::int32_t sequence);
  void count(std::int32_t sequence, double seconds);
  Answer finish(std::int32_t sequence);

  BoundedContext &context_;
  Selector *selector_;
  const Phase &phase_;
  const DialogueOf &dialogue_of_;
  const RequestOf &request_of_;
  engine::Generator generator_;
  std::vector<Slot> slots_;
  std::vector<Job>::const_iterator next_;
  std::int32_t active_ = 0;
};

}  // namespace vase::eval
