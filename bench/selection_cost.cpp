// selection_cost MODEL BUDGET SEQUENCES DEPTH...
//
// What it costs to let a decoding step read BUDGET rows as `oracle` and `quest` do, at each DEPTH:
// steps of one token of each of SEQUENCES sequences with the full cache (plain llama.cpp) and with
// each selection in turns, a line each: the median of ROUNDS times STEPS steps, and the ratio to
// the full cache. Selections are rivals to compare answers with, not a way to be fast.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/log.hpp"
#include "engine/machine.hpp"
#include "engine/model.hpp"
#include "llama/selection/selector.hpp"

namespace {

constexpr int kRounds = 5, kSteps = 8;

struct Times {
  double elapsed, cpu;
};

class Runner {
 public:
  Runner(const vase::engine::Model& model, int32_t depth, int32_t n_sequences,
         std::optional<vase::SelectionParams> params)
      : n_sequences_(n_sequences), selector_(vase::engine::usable_processors()) {
    vase::BoundedOptions options;
    options.policy = vase_params_default(vase_policy_full(), depth);
    options.n_sequences = n_sequences;
    options.context.n_ctx = static_cast<uint32_t>(depth + kRounds * kSteps + 1);
    options.context.n_threads = options.context.n_threads_batch = vase::engine::usable_processors();
    options.context.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    if (params) selector_.listen(options.context);
    context_.emplace(model.make_context(options));
    if (params) selector_.attach(*context_);
    std::mt19937 random(1);
    n_vocab_ = static_cast<uint32_t>(llama_vocab_n_tokens(model.vocab()));
    std::vector<llama_token> prompt(static_cast<size_t>(depth));
    for (llama_token& token : prompt) token = static_cast<llama_token>(random() % n_vocab_);
    for (int32_t s = 0; s < n_sequences; ++s) {
      if (params) {
        selector_.select(s, params);
        selector_.set_prompt_end(s, depth);
      }
      context_->decode({{.sequence = s, .tokens = prompt}});
    }
    step();  // builds the graph
  }

  /// Milliseconds of a step.
  Times measure() {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu_start = std::clock();
    for (int i = 0; i < kSteps; ++i) step();
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    const double cpu = 1e3 * static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
    return {elapsed.count() / kSteps, cpu / kSteps};
  }

 private:
  void step() {
    const auto token = static_cast<llama_token>(steps_++ % n_vocab_);
    std::vector<vase::SequenceInput> inputs;
    for (int32_t s = 0; s < n_sequences_; ++s)
      inputs.push_back({.sequence = s, .tokens = {&token, 1}});
    context_->decode(inputs);
    selector_.check();
  }

  int32_t n_sequences_;
  uint32_t n_vocab_ = 1, steps_ = 0;
  vase::Selector selector_;
  std::optional<vase::BoundedContext> context_;
};

Times median(const std::vector<Times>& times) {
  const auto middle = [&](double Times::*which) {
    std::vector<double> values;
    for (const Times& one : times) values.push_back(one.*which);
    std::ranges::sort(values);
    return values[values.size() / 2];
  };
  return {middle(&Times::elapsed), middle(&Times::cpu)};
}

void measure(const vase::engine::Model& model, int32_t depth, int32_t budget, int32_t n_sequences) {
  std::vector<std::string> names = {"full"};
  std::vector<std::unique_ptr<Runner>> runners;
  runners.push_back(std::make_unique<Runner>(model, depth, n_sequences, std::nullopt));
  for (const vase::NamedSelection& known : vase::kSelections) {
    names.emplace_back(known.name);
    runners.push_back(std::make_unique<Runner>(model, depth, n_sequences,
                                               vase::SelectionParams{known.selection, budget}));
  }
  std::vector<std::vector<Times>> times(runners.size());
  for (int round = 0; round < kRounds; ++round)
    for (size_t i = 0; i < runners.size(); ++i) times[i].push_back(runners[i]->measure());
  const Times full = median(times[0]);
  for (size_t i = 0; i < runners.size(); ++i) {
    const Times of = median(times[i]);
    fmt::print(
        "depth {} budget {} sequences {}: {:6} {:8.2f} ms a step ({:.2f} of full), of the "
        "processors {:8.2f} ms ({:.2f})\n",
        depth, budget, n_sequences, names[i], of.elapsed, of.elapsed / full.elapsed, of.cpu,
        of.cpu / full.cpu);
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    fmt::print(stderr, "usage: selection_cost MODEL BUDGET SEQUENCES DEPTH...\n");
    return 1;
  }
  try {
    vase::engine::init_llama(false);
    const vase::engine::Model model({.path = argv[1]});
    for (int i = 4; i < argc; ++i)
      measure(model, std::atoi(argv[i]), std::atoi(argv[2]), std::atoi(argv[3]));
  } catch (const vase::Error& error) {
    fmt::print(stderr, "selection_cost: {}\n", error.what());
    return 1;
  }
}
