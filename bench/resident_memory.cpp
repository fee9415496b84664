// Does memory stay where it is? Decodes many tokens in a small cache and prints the resident size
// along the way.
//   resident_memory MODEL.gguf [BUDGET] [TOKENS] [THREADS]
// Exits with 1 if the resident size between token 5,000 and the end differs by more than 1%.
#include <llama-cpp.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "vase/llama.hpp"

namespace {

constexpr int64_t kSettled = 5000, kStep = 5000;

/// Resident size of this process in KiB.
int64_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::atoll(line.c_str() + 6);
  return 0;
}

int64_t argument(int argc, char** argv, int index, int64_t otherwise) {
  return argc > index ? std::atoll(argv[index]) : otherwise;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s MODEL.gguf [BUDGET] [TOKENS] [THREADS]\n", argv[0]);
    return 2;
  }
  const auto budget = static_cast<int32_t>(argument(argc, argv, 2, 256));
  const int64_t tokens = argument(argc, argv, 3, 50'000);

  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  const llama_model_ptr model(llama_model_load_from_file(argv[1], llama_model_default_params()));
  if (!model) throw vase::Error(std::string("cannot load ") + argv[1]);
  const int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model.get()));

  vase::BoundedOptions options;
  options.policy = vase_params_default(vase_policy_find("vase"), budget);
  options.context.n_threads = static_cast<int32_t>(argument(argc, argv, 4, 2));
  options.context.n_threads_batch = options.context.n_threads;
  vase::BoundedContext context(model.get(), options);

  int64_t least = 0, most = 0;
  std::printf("| tokens | rows a head | evictions | resident, MiB |\n| --- | --- | --- | --- |\n");
  for (int64_t done = 1; done <= tokens; ++done) {
    // Any tokens do: memory does not depend on what the text says.
    const auto token = static_cast<llama_token>((done * 7919) % n_vocab);
    context.decode({{.sequence = 0, .tokens = {&token, 1}}});
    if (done % kStep != 0) continue;
    const int64_t resident = resident_kib();
    least = done == kSettled ? resident : std::min(least, resident);
    most = std::max(most, resident);
    const vase::SequenceStatistics now = context.statistics(0);
    std::printf("| %lld | %d | %lld | %.1f |\n", static_cast<long long>(now.tokens), now.rows,
                static_cast<long long>(now.evictions), static_cast<double>(resident) / 1024);
    std::fflush(stdout);
  }
  const double spread =
      static_cast<double>(most - least) / static_cast<double>(std::max<int64_t>(1, least));
  std::printf("spread from token %lld on: %.2f%%\n", static_cast<long long>(kSettled),
              100 * spread);
  return spread <= 0.01 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
