#include "cli/bench_measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
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

  // Reads up to `depth` tokens in batches, one sequence after another.
  void read_to(std::int32_t depth, const BenchProgress &progress) {
    const auto start = Clock::now();
    for (std::size_t sequence = 0; sequence < read_.size(); ++sequence) {
      const std::size_t end = static_cast<std::size_t>(depth) + sequence * stagger_;
      while (read_[sequence] < end) {
        const auto index = static_cast<std::int32_t>(sequence);
        const std::size_t count =
            std::min({end - read_[sequence], static_cast<std::size_t>(context_.room(index)),
                      std::size_t{context_.options().context.n_ubatch}});
        context_.decode({input(sequence, count)});
        progress(fmt::format(" {}: reading, sequence {}/{}, {}/{} tokens ", name_, sequence + 1,
                             read_.size(), with_commas(static_cast<std::int64_t>(read_[sequence])),
                             with_commas(static_cast<std::int64_t>(end))));
      }
    }
    llama_synchronize(context_.get());
    prompt_seconds_ += seconds_since(start);
  }

  // Decodes `count` tokens of each sequence one by one, as generation does.
  void generate(std::size_t count, BenchWindow &window) {
    const Timings before = context_.timings();
    const std::int64_t evictions_before = evictions();
    const auto start = Clock::now();
    std::vector<SequenceInput> inputs;
    for (std::size_t i = 0; i < count; ++i) {
      inputs.clear();
      for (std::size_t sequence = 0; sequence < read_.size(); ++sequence)
        inputs.push_back(input(sequence, 1));
      context_.decode(inputs);
      llama_synchronize(context_.get());
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
  double prompt_seconds() const { return prompt_seconds_; }
  const char *name() const { return name_; }

 private:
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
  double prompt_seconds_ = 0;
};

// By turns, and each is the first as often as the other.
void generate_both(Runner &plain, Runner &bounded, std::size_t tokens, BenchDepth &result,
                   const BenchProgress &progress) {
  for (std::size_t done = 0, round = 0; done < tokens; done += kRound, ++round) {
    const std::size_t count = std::min(kRound, tokens - done);
    progress(fmt::format(" depth {}: {}/{} tokens ", with_commas(result.depth), done, tokens));
    if (round % 2 == 0) plain.generate(count, result.plain);
    bounded.generate(count, result.bounded);
    if (round % 2 == 1) plain.generate(count, result.plain);
  }
}

}  // namespace

BenchResult measure(const engine::Model &model, const BenchPlan &plan,
                    const BenchProgress &progress) {
  const auto text = pseudo_text(model, static_cast<std::size_t>(plan.text_length()));

  // The first batch of each touches all of its buffers.
  Runner bounded(vase_policy_name(plan.bounded.policy.policy), model, plan.bounded, text,
                 plan.stagger);
  const std::int32_t first = plan.depths.front();
  bounded.read_to(first, progress);
  bounded.note_resident_memory();
  Runner plain("plain", model, plan.plain, text, plan.stagger);
  plain.read_to(first, progress);
  plain.note_resident_memory();

  BenchResult result{.plan = plan, .model = model.description()};
  for (const std::int32_t depth : plan.depths) {
    BenchDepth row{.depth = depth};
    try {
      plain.read_to(depth, progress);
      bounded.read_to(depth, progress);
      generate_both(plain, bounded, static_cast<std::size_t>(plan.tokens), row, progress);
    } catch (const Interrupted &) {
      result.interrupted = true;
      break;
    }
    result.depths.push_back(row);
  }
  result.plain = plain.memory();
  result.bounded = bounded.memory();
  result.plain_prompt_seconds = plain.prompt_seconds();
  result.bounded_prompt_seconds = bounded.prompt_seconds();
  return result;
}

}  // namespace vase::cli
