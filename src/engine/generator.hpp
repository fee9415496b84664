// Generates text in the sequences of one bounded context, several at a time in one batch.
//
//     Generator generator(model, context);
//     generator.start(0, {.prompt = model.tokenize("Once upon a time")});
//     while (generator.busy()) {
//       for (const Event &event : generator.step()) std::cout << event.text;
//     }
//
// A step is short (one token a sequence, or one piece of a prompt), so whoever drives the loop can
// stop, start or cancel sequences between any two steps.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/thread_pool.hpp"
#include "engine/loop_guard.hpp"
#include "engine/model.hpp"
#include "engine/sampler.hpp"
#include "engine/stop_strings.hpp"
#include "engine/thinking_budget.hpp"
#include "engine/utf8.hpp"
#include "vase/llama.hpp"

namespace vase::engine {

struct Request {
  std::vector<llama_token> prompt = {};
  SamplingOptions sampling = {};
  std::int64_t n_predict = -1;         ///< tokens to generate at most; negative: no limit
  std::vector<std::string> stop = {};  ///< the text ends before the first of these
  std::int32_t n_logprobs = -1;        ///< likeliest tokens to report with each; -1: no report
  bool text = true;  ///< false: events carry the tokens alone, and stop strings are not looked for
  /// When the text begins to repeat itself, go back and read it again (LoopGuard). What was said
  /// is not taken back, nor does it count less: the next token goes on from before the loop.
  bool loop_guard = false;
  /// The prompt may be pinned, and with it the mark by which the answer opens a thought. False:
  /// what was pinned before stays so.
  bool pins = true;
  /// Where the prompts of the whole text are (BoundedContext::set_prompts), newest_end left out.
  /// Not given: this one is the newest, and if the sequence has a text already, another turn of it.
  std::optional<Prompts> prompts = {};
  ThinkingOptions thinking = {};
  std::vector<llama_token> shown = {};  ///< control tokens whose names are text
  /// Of the prompt: tokens after which a step ends and at_boundary() tells, rising, each below the
  /// prompt's length.
  std::vector<std::size_t> boundaries = {};
};

/// A token and the logarithm of its probability before any sampling option applies.
struct TokenLogprob {
  llama_token token = 0;
  float logprob = 0;
};

enum class Finish {
  none,         ///< not finished
  end_of_text,  ///< the model said so
  length,       ///< n_predict tokens
  stop_string,
  cache_full,    ///< a policy that evicts nothing has no room left
  no_positions,  ///< the model has learned no position beyond (BoundedContext::longest_text)
};

/// The text ended for want of room, without a token.
constexpr bool is_out_of_room(Finish finish) {
  return finish == Finish::cache_full || finish == Finish::no_positions;
}

struct Event {
  std::int32_t sequence = 0;
  llama_token token = 0;
  std::string text = {};  ///< whole characters; may be empty, or belong to earlier tokens
  Finish finish = Finish::none;
  /// With Request::n_logprobs >= 0: the token, then as many of the likeliest, the likeliest first.
  std::vector<TokenLogprob> logprobs = {};
};

/// How much of the last prompt is in the cache.
enum class PromptRead { all, part, none };

/// Of one sequence, since its last start().
struct GenerationStatistics {
  std::int64_t prompt_tokens = 0;
  std::int64_t prompt_done = 0;
  std::int64_t generated = 0;
  std::int64_t loop_alarms = 0;   ///< times that the loop guard went back
  std::int64_t thoughts_cut = 0;  ///< thoughts that were ended because their budget was spent
  double prompt_seconds = 0;      ///< until the first token was sampled
  double generate_seconds = 0;    ///< from the first token to the last
};

class Generator {
 public:
  /// Both must outlive this. `prompt_chunk`: tokens of prompts in one step, over all sequences,
  /// which share it evenly: a short prompt does not wait for a long one. `n_threads`: threads that
  /// pick the next tokens of many sequences.
  Generator(const Model &model, BoundedContext &context, std::int32_t prompt_chunk = 512,
            std::int32_t n_threads = 1);

  /// Appends a prompt to a sequence that is not busy and lets it answer. Tokens that an earlier
  /// generation has left unread (its last one, or the rest of a cancelled prompt) are read first.
  void start(std::int32_t sequence, Request request);
  /// Ends a generation; what was read stays in the cache. Returns the text that was held back.
  std::string cancel(std::int32_t sequence);
  /// After a cancel() in the middle of a prompt: how much of the prompt was read. What was not is
  /// forgotten, so that the next start() does not read it; what was read stays in the cache.
  PromptRead drop_unread_prompt(std::int32_t sequence);
  /// Says that the cache of a sequence that is not busy holds `tokens`: it has been restored, or is
  /// gone on from with what it has read. What it was given before and did not read is forgotten.
  void take_over(std::int32_t sequence, std::vector<llama_token> tokens);
  /// Forgets everything about a sequence, also what the loop guard made of its parameters.
  void clear(std::int32_t sequence);

  bool busy() const;
  bool busy(std::int32_t sequence) const;
  /// Decodes one batch. If that throws, every sequence is as it was before the step. Returns what
  /// came out of it: at most one event a sequence. Valid until the next step().
  std::span<const Event> step();

  /// Sequences that have read their prompt up to one of its boundaries in the last step().
  std::span<const std::int32_t> at_boundary() const { return at_boundary_; }

  const GenerationStatistics &statistics(std::int32_t sequence) const;
  /// True until the first token after a start().
  bool reading_prompt(std::int32_t sequence) const;
  /// True while it reads its text again, after the loop guard went back.
  bool rereading(std::int32_t sequence) const;
  /// Evictions of a sequence since it was cleared, also those of a text that is read again.
  std::int64_t evictions(std::int32_t sequence) const;
  /// What a sequence was given and said since it was cleared, without what the loop guard dropped:
  /// the tokens of its positions, and those that are still to be read. Valid until the next step().
  std::span<const llama_token> tokens(std::int32_t sequence) const;
  /// Of these, what is in the cache. Nothing if the loop guard has read it by another policy.
  std::span<const llama_token> read_tokens(std::int32_t sequence) const;
  const BoundedContext &context() const { return context_; }

 private:
  using Clock = std::chrono::steady_clock;

  // What a sequence had before the loop guard.
  struct OwnParams {
    vase_params params;
    float pin_prompt;
  };

  struct Slot {
    bool busy = false;
    std::vector<llama_token> tokens;  // since clear()
    std::size_t n_unread = 0;         // of these, the newest, which are not decoded yet
    std::size_t n_read = 0;           // of these, how many this step decodes
    std::size_t prompt_begin = 0;     // of `tokens`: where the last prompt begins
    std::size_t prompt_end = 0;       // of `tokens`
    bool pins = false;
    bool in_prompt = false;
    std::vector<std::size_t> boundaries;  // of `tokens`: those that are still to come
    bool rereads = false;  // what was read before; no token comes of it until all is read
    std::int64_t evictions_undone = 0;  // evictions of what was read before
    std::int64_t n_predict = -1;
    std::int32_t n_logprobs = -1;
    bool text = true;
    std::vector<llama_token> shown;
    llama_token picked = 0;  // the next token
    std::optional<Sampler> sampler;
    Utf8Assembler utf8;
    StopStrings stop;
    std::optional<LoopGuard> guard;
    std::optional<ThinkingBudget> thinking;  // where it has a limit
    std::optional<OwnParams> own_params;     // given back by clear()
    GenerationStatistics statistics;
    Clock::time_point started;
    Clock::time_point first_token;
  };

  Slot &slot(std::int32_t sequence);
  const Slot &slot(std::int32_t sequence) const;
  std::vector<SequenceInput> plan_batch();
  void after_decode(std::int32_t sequence, Clock::time_point now);
  void pick_tokens();
  void emit(std::int32_t sequence, Clock::time_point now);
  void finish(std::int32_t sequence, Finish reason, Event &event);
  void pin_opening_mark(std::int32_t sequence);
  void go_back(std::int32_t sequence, std::int64_t n_tokens);
  bool add_input(std::int32_t sequence, std::int32_t prompt_share,
                 std::vector<SequenceInput> &batch);

  const Model &model_;
  BoundedContext &context_;
  std::int32_t prompt_chunk_;
  std::vector<Slot> slots_;
  std::vector<std::int32_t> at_boundary_;
  std::vector<std::int32_t> ready_;  // sequences that get a token in this step
  std::vector<Event> events_;
  std::unique_ptr<ThreadPool> pickers_;  // null: one thread
};

}  // namespace vase::engine
