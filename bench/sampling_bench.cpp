// What the pick of a token costs over a large vocabulary: ours and llama.cpp's chain of samplers,
// which needs an entry for each token of the vocabulary.
//
//   sampling_bench                  151,936 drawn logits (Qwen's vocabulary)
//   sampling_bench --model FILE     those of a model along its own answer
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdio>
#include <exception>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model.hpp"
#include "engine/sampler.hpp"

namespace {

using vase::engine::Model;
using vase::engine::Sampler;
using vase::engine::SamplingOptions;
using Logits = std::vector<float>;

// A sharp peak over a broad bell, as language models give them.
std::vector<Logits> drawn_steps() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 2.5f);
  std::vector<Logits> steps(16, Logits(151936));
  for (Logits &logits : steps) {
    for (float &logit : logits) logit = normal(random);
    for (std::size_t i = 0; i < 10; ++i) logits[i * 7919] = 20.0f - static_cast<float>(i);
  }
  return steps;
}

std::vector<Logits> steps_of(const Model &model) {
  constexpr std::size_t kSteps = 64;
  vase::BoundedOptions options;
  options.policy = vase_params_default(vase_policy_find("full"), 512);
  vase::BoundedContext context = model.make_context(options);
  const auto n_vocab = static_cast<std::size_t>(llama_vocab_n_tokens(model.vocab()));
  std::vector<llama_token> tokens = model.tokenize(
      "Question: Ann has 12 apples, buys 7 bags of 5 and gives a third of them away. How many does "
      "she keep?\nAnswer: Let us think step by step.");
  Sampler sampler(nullptr, {.temperature = 0.6f, .top_k = 20, .seed = 1});
  std::vector<Logits> steps;
  while (steps.size() < kSteps) {
    context.decode({{.sequence = 0, .tokens = tokens}});
    const float *logits = context.logits(0);
    steps.emplace_back(logits, logits + n_vocab);
    tokens = {sampler.sample(steps.back())};
  }
  return steps;
}

struct Setting {
  const char *name;
  SamplingOptions options;
};

const Setting kSettings[] = {
    {"greedy", {.temperature = 0}},
    {"top_k_20", {.temperature = 0.6f, .top_k = 20, .top_p = 0.95f, .min_p = 0}},
    {"top_k_0", {.temperature = 0.6f, .top_k = 0, .top_p = 0.95f, .min_p = 0}},
    {"defaults", {}},
    {"temperature_alone", {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0}}};

void ours(benchmark::State &state, const std::vector<Logits> &steps, SamplingOptions options) {
  Sampler sampler(nullptr, options);
  std::size_t step = 0;
  for (auto _ : state) benchmark::DoNotOptimize(sampler.sample(steps[step++ % steps.size()]));
}

void chain(benchmark::State &state, const std::vector<Logits> &steps, SamplingOptions options) {
  const std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)> samplers(
      llama_sampler_chain_init(llama_sampler_chain_default_params()), llama_sampler_free);
  const auto add = [&](llama_sampler *sampler) {
    llama_sampler_chain_add(samplers.get(), sampler);
  };
  if (options.temperature > 0) {
    add(llama_sampler_init_top_k(options.top_k));
    add(llama_sampler_init_top_p(options.top_p, 1));
    add(llama_sampler_init_min_p(options.min_p, 1));
    add(llama_sampler_init_temp(options.temperature));
    add(llama_sampler_init_dist(options.seed));
  } else {
    add(llama_sampler_init_greedy());
  }
  std::vector<llama_token_data> tokens;
  std::size_t step = 0;
  for (auto _ : state) {
    const Logits &logits = steps[step++ % steps.size()];
    tokens.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i)
      tokens[i] = {static_cast<llama_token>(i), logits[i], 0.0f};
    llama_token_data_array array = {tokens.data(), tokens.size(), -1, false};
    llama_sampler_apply(samplers.get(), &array);
    benchmark::DoNotOptimize(array.data[array.selected].id);
  }
}

}  // namespace

int main(int argc, char **argv) try {
  benchmark::Initialize(&argc, argv);
  std::vector<Logits> steps;
  if (argc == 3 && std::string_view(argv[1]) == "--model") {
    steps = steps_of(Model({.path = argv[2]}));
  } else if (argc == 1) {
    steps = drawn_steps();
  } else {
    std::fprintf(stderr, "usage: sampling_bench [--model FILE] [--benchmark_...]\n");
    return 2;
  }
  for (const Setting &setting : kSettings) {
    const auto add = [&](const char *who, auto *run) {
      benchmark::RegisterBenchmark(
          (std::string(who) + "/" + setting.name).c_str(),
          [&steps, &setting, run](benchmark::State &state) { run(state, steps, setting.options); })
          ->Unit(benchmark::kMicrosecond);
    };
    add("llama", chain);
    add("vase", ours);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
} catch (const std::exception &error) {
  std::fprintf(stderr, "sampling_bench: %s\n", error.what());
  return 1;
}
