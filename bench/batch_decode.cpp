// batch_decode MODEL SEQUENCES BUDGET DEPTH TOKENS THREADS
//
// The speed of the bare engine: reads DEPTH tokens into each of the sequences, then decodes TOKENS
// more of each, one of every sequence in a batch, sampling included. The yardstick of
// server_load.py. Prints tokens a second, and milliseconds of CPU time a token.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <random>

#include "engine/generator.hpp"
#include "engine/log.hpp"

namespace {

using Clock = std::chrono::steady_clock;

vase::BoundedOptions options_for(int n_sequences, int budget, int n_threads) {
  vase::BoundedOptions options;
  options.policy = vase_params_default(vase_policy_find("vase"), budget);
  options.n_sequences = n_sequences;
  options.context.n_threads = options.context.n_threads_batch = n_threads;
  return options;
}

void measure(const vase::engine::Model &model, vase::BoundedContext &context, std::int32_t depth,
             std::int64_t tokens) {
  vase::engine::Generator generator(model, context);
  std::mt19937 random(1);
  const std::int32_t n_sequences = context.options().n_sequences;
  for (std::int32_t sequence = 0; sequence < n_sequences; ++sequence) {
    vase::engine::Request request{.sampling = {.ignore_eog = true}, .n_predict = tokens};
    for (std::int32_t i = 0; i < depth; ++i) {
      request.prompt.push_back(100 + static_cast<llama_token>(random() % 900));
    }
    generator.start(sequence, std::move(request));
  }
  const auto reading = [&] {
    for (std::int32_t s = 0; s < n_sequences; ++s) {
      if (generator.reading_prompt(s)) return true;
    }
    return false;
  };
  while (reading()) generator.step();
  // All generate from here on, until the first of them is done.
  std::size_t count = 0;
  const auto start = Clock::now();
  const std::clock_t cpu_start = std::clock();
  for (bool done = false; !done;) {
    for (const vase::engine::Event &event : generator.step()) {
      ++count;
      done |= event.finish != vase::engine::Finish::none;
    }
  }
  const auto tokens_done = static_cast<double>(count);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double cpu = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
  fmt::print("{:.2f} {:.2f}\n", tokens_done / seconds, 1000 * cpu / tokens_done);
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 7) {
    fmt::print(stderr, "usage: batch_decode MODEL SEQUENCES BUDGET DEPTH TOKENS THREADS\n");
    return 2;
  }
  try {
    vase::engine::init_llama(false);
    const vase::engine::Model model({.path = argv[1], .n_gpu_layers = -1});
    vase::BoundedContext context =
        model.make_context(options_for(std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[6])));
    measure(model, context, std::atoi(argv[4]), std::atoi(argv[5]));
    return 0;
  } catch (const std::exception &error) {
    fmt::print(stderr, "batch_decode: {}\n", error.what());
    return 1;
  }
}
