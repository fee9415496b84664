// batch_decode MODEL SEQUENCES BUDGET DEPTH TOKENS THREADS
//
// The speed of the bare engine: reads DEPTH tokens into each of the sequences, then decodes TOKENS
// more of each, one of every sequence in a batch, sampling included. The yardstick of
// server_load.py.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
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

double tokens_per_second(const vase::engine::Model &model, vase::BoundedContext &context,
                         std::int32_t depth, std::int64_t tokens) {
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
  for (bool done = false; !done;) {
    for (const vase::engine::Event &event : generator.step()) {
      ++count;
      done |= event.finish != vase::engine::Finish::none;
    }
  }
  return static_cast<double>(count) / std::chrono::duration<double>(Clock::now() - start).count();
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
    fmt::print("{:.2f}\n",
               tokens_per_second(model, context, std::atoi(argv[4]), std::atoi(argv[5])));
    return 0;
  } catch (const std::exception &error) {
    fmt::print(stderr, "batch_decode: {}\n", error.what());
    return 1;
  }
}
