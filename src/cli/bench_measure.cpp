#include "cli/bench_measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "cli/interrupt.hpp"
#include "cli/units.hpp"
#include "engine/machine.hpp"

namespace vase::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kRound = 16;  // tokens that one decodes before it is the other's turn
constexpr std::int32_t kReadingRound = 2048;  // the same of a prompt: whole batches, many pieces
// Steps before a measurement: the first of them copy sequences and record llama.cpp's CUDA graphs.
constexpr std::size_t kWarmUp = 4;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Text of no meaning: speed does not depend on what is said.
std::vector<llama_token> pseudo_text(const engine::Model &model, std::size_t length) {
  std::mt19937 random(1);
  const std::int32_t n_tokens = llama_vocab_n_tokens(model.vocab());
  std::vector<llama_token> text;
  while (text.size() < length) {
    const auto token = static_cast<llama_token>(random() % static_cast<std::uint32_t>(n_tokens));
    if (!llama_vocab_is_control(model.vocab(), token)) text.push_back(token);
  }
  return text;
}

// A context whose sequences all read the text from its start.
class Runner {
 public:
  // `stagger`: tokens that each sequence is ahead of the one before it.
  Runner(const char *name, const engine::Model &model, const BoundedOptions &options,
         std::span<const llama_token> text, std::int32_t stagger)
      : name_(name),
        resident_before_(engine::resident_memory()),
        context_(model.make_context(options)),
        text_(text),
        stagger_(static_cast<std::size_t>(stagger)),
        read_(static_cast<std::size_t>(options.n_sequences)) {}

  // The first batch of a context touches all of its buffers, and a GPU loads its kernels.
  void warm_up(std::int32_t depth, const BenchProgress &progress) {
    read_first(std::min(depth, kReadingRound), progress);
    context_.clear(0);
    read_.front() = 0;
    reading_ = {};
  }

  // The first sequence reads on up to `depth` tokens, in pieces as `vase run` and `serve` read
  // prompts.
  void read_first(std::int32_t depth, const BenchProgress &progress) {
    read(0, static_cast<std::size_t>(depth), progress);
  }

  // Brings all sequences to `depth`; the last few tokens one by one. A sequence starts as a copy of
  // the one before it, so that many are as deep as soon as one is.
  void read_all(std::int32_t depth, const BenchProgress &progress) {
    const auto last = static_cast<std::size_t>(depth);
    for (std::size_t sequence = 0; sequence < read_.size(); ++sequence) {
      const std::size_t end = before_last_steps(last) + sequence * stagger_;
      if (sequence > 0 && read_[sequence] < end) {
        context_.copy(static_cast<std::int32_t>(sequence) - 1, static_cast<std::int32_t>(sequence));
        read_[sequence] = read_[sequence - 1];
      }
      read(sequence, end, progress);
    }
    while (read_.front() < last) step();
  }

  static std::size_t before_last_steps(std::size_t depth) {
    return depth - std::min(depth - 1, kWarmUp);
  }

  // Decodes `count` tokens of each sequence one by one, as generation does.
  void generate(std::size_t count, BenchWindow &window) {
    const Timings before = context_.timings();
    const std::int64_t evictions_before = evictions();
    const auto start = Clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      const auto before_step = Clock::now();
      step();
      window.steps.push_back(seconds_since(before_step));
    }
    window.seconds += seconds_since(start);
    window.capture_seconds += context_.timings().capture - before.capture;
    window.eviction_seconds += context_.timings().eviction - before.eviction;
    window.evictions += evictions() - evictions_before;
  }

  BenchMemory memory() const { return {context_.cache_bytes(), resident_growth_}; }
  // To be called when this runner, and no other, has worked since it was made.
  void note_resident_memory() {
    resident_growth_ =
        engine::resident_memory() - std::min(engine::resident_memory(), resident_before_);
  }
  const BenchReading &reading() const { return reading_; }
  const char *name() const { return name_; }

 private:
  void read(std::size_t sequence, std::size_t end, const BenchProgress &progress) {
    const Timings before = context_.timings();
    const std::int64_t evictions_before = evictions();
    const auto start = Clock::now();
    const std::clock_t worked = std::clock();
    const auto index = static_cast<std::int32_t>(sequence);
    while (read_[sequence] < end) {
      const std::size_t count =
          std::min({end - read_[sequence], static_cast<std::size_t>(context_.prompt_room(index)),
                    std::size_t{context_.options().context.n_batch}});
      SequenceInput piece = input(sequence, count);
      piece.fill = true;
      context_.decode({piece});
      reading_.tokens += static_cast<std::int64_t>(count);
      progress(fmt::format(" {}: reading, sequence {}/{}, {}/{} tokens ", name_, sequence + 1,
                           read_.size(), with_commas(static_cast<std::int64_t>(read_[sequence])),
                           with_commas(static_cast<std::int64_t>(end))));
    }
    llama_synchronize(context_.get());
    reading_.seconds += seconds_since(start);
    reading_.processor_seconds += static_cast<double>(std::clock() - worked) / CLOCKS_PER_SEC;
    reading_.eviction_seconds += context_.timings().eviction - before.eviction;
    reading_.evictions += evictions() - evictions_before;
  }

  // One token of each sequence.
  void step() {
    std::vector<SequenceInput> inputs;
    for (std::size_t sequence = 0; sequence < read_.size(); ++sequence)
      inputs.push_back(input(sequence, 1));
    context_.decode(inputs);
    llama_synchronize(context_.get());
  }

  // The next tokens of a sequence, counted as read.
  SequenceInput input(std::size_t sequence, std::size_t count) {
    const std::size_t first = read_[sequence];
    read_[sequence] += count;
    return {.sequence = static_cast<std::int32_t>(sequence), .tokens = text_.subspan(first, count)};
  }

  std::int64_t evictions() const {
    std::int64_t sum = 0;
    for (std::int32_t sequence = 0; sequence < context_.options().n_sequences; ++sequence)
      sum += context_.statistics(sequence).evictions;
    return sum;
  }

  const char *name_;
  std::uint64_t resident_before_;
  std::uint64_t resident_growth_ = 0;
  BoundedContext context_;
  std::span<const llama_token> text_;
  std::size_t stagger_;
  std::vector<std::size_t> read_;  // tokens of each sequence
  BenchReading reading_;
};

// Reads up to a depth, by turns.
void read_both(std::optional<Runner> &plain, Runner &bounded, std::int32_t from, BenchDepth &result,
               const BenchProgress &progress) {
  const auto end =
      static_cast<std::int32_t>(Runner::before_last_steps(static_cast<std::size_t>(result.depth)));
  for (std::int32_t to = from; to < end;) {
    to = std::min(to + kReadingRound, end);
    if (plain) plain->read_first(to, progress);
    bounded.read_first(to, progress);
  }
  if (plain) plain->read_all(result.depth, progress);
  bounded.read_all(result.depth, progress);
  if (plain) result.plain_reading = plain->reading();
  result.bounded_reading = bounded.reading();
}

// By turns, and each is the first as often as the other.
void generate_both(std::optional<Runner> &plain, Runner &bounded, std::size_t tokens,
                   BenchDepth &result, const BenchProgress &progress) {
  for (std::size_t done = 0, round = 0; done < tokens; done += kRound, ++round) {
    const std::size_t count = std::min(kRound, tokens - done);
    progress(fmt::format(" depth {}: {}/{} tokens ", with_commas(result.depth), done, tokens));
    if (plain && round % 2 == 0) plain->generate(count, result.plain);
    bounded.generate(count, result.bounded);
    if (plain && round % 2 == 1) plain->generate(count, result.plain);
  }
}

}  // namespace

BenchResult measure(const engine::Model &model, const BenchPlan &plan,
                    const BenchProgress &progress) {
  const auto text = pseudo_text(model, static_cast<std::size_t>(plan.text_length()));

  BenchResult result{.plan = plan, .model = model.description()};
  result.gpu_bytes_before = engine::gpu_memory_in_use();

  Runner bounded(vase_policy_name(plan.bounded.policy.policy), model, plan.bounded, text,
                 plan.stagger);
  const std::int32_t first = plan.depths.front();
  bounded.warm_up(first, progress);
  bounded.note_resident_memory();
  std::optional<Runner> plain;
  if (plan.with_plain) {
    plain.emplace("plain", model, plan.plain, text, plan.stagger);
    plain->warm_up(first, progress);
    plain->note_resident_memory();
  }

  std::int32_t read = 0;
  for (const std::int32_t depth : plan.depths) {
    BenchDepth row{.depth = depth};
    try {
      read_both(plain, bounded, read, row, progress);
      read = depth + plan.tokens;
      generate_both(plain, bounded, static_cast<std::size_t>(plan.tokens), row, progress);
    } catch (const Interrupted &) {
      result.interrupted = true;
      break;
    } catch (const Stopped &) {
      result.interrupted = true;
      break;
    }
    row.gpu_bytes = engine::gpu_memory_in_use();
    result.depths.push_back(row);
  }
  if (plain) result.plain = plain->memory();
  result.bounded = bounded.memory();
  return result;
}

}  // namespace vase::cli
