// side_by_side MODEL CONTEXTS SEQUENCES [STEPS [FEWEST]]
//
// How fast plain llama.cpp decodes with several contexts in threads of one process, and whether it
// survives it. Each context decodes one token of each of its SEQUENCES a step. With FEWEST, the
// sequences that want logits become fewer, STEPS steps at each number, as in an evaluation whose
// questions are answered one after another: with CUDA graphs this ends in "an illegal instruction
// was encountered" (llama.cpp of llama-cpp-python 0.3.36, H200); with GGML_CUDA_DISABLE_GRAPHS=1
// it does not.
#include <llama-cpp.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kCells = 768;  // of a sequence

struct Arguments {
  std::string model;
  int contexts, sequences, steps, fewest;
};

llama_context_ptr make_context(llama_model* model, int sequences) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(kCells * sequences);
  params.n_seq_max = static_cast<uint32_t>(sequences);
  params.n_batch = static_cast<uint32_t>(sequences);
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  params.kv_unified = false;
  params.swa_full = false;
  return llama_context_ptr(llama_init_from_model(model, params));
}

/// Tokens that were given logits, until only `fewest` sequences want them.
long decode(llama_context* context, const Arguments& arguments) {
  llama_batch batch = llama_batch_init(arguments.sequences, 0, 1);
  const int kinds = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
  long tokens = 0;
  int position = 0;
  for (int wanted = arguments.sequences; wanted >= arguments.fewest; --wanted)
    for (int step = 0; step < arguments.steps; ++step) {
      batch.n_tokens = arguments.sequences;
      for (int s = 0; s < arguments.sequences; ++s) {
        batch.token[s] = (wanted * 31 + s * 7 + step) % kinds;
        batch.pos[s] = position;
        batch.n_seq_id[s] = 1;
        batch.seq_id[s][0] = s;
        batch.logits[s] = s < wanted ? 1 : 0;
      }
      if (llama_decode(context, batch) != 0) std::exit(1);
      llama_synchronize(context);
      tokens += wanted;
      if (++position == kCells) {
        llama_memory_clear(llama_get_memory(context), false);
        position = 0;
      }
    }
  llama_batch_free(batch);
  return tokens;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "side_by_side MODEL CONTEXTS SEQUENCES [STEPS [FEWEST]]\n");
    return 2;
  }
  const auto number = [&](int index, int otherwise) {
    return argc > index ? std::atoi(argv[index]) : otherwise;
  };
  Arguments arguments{argv[1], number(2, 1), number(3, 1), number(4, 200), 0};
  arguments.fewest = number(5, arguments.sequences);
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = 99;
  const llama_model_ptr model(llama_model_load_from_file(arguments.model.c_str(), params));
  if (!model) return 1;

  std::vector<long> tokens(static_cast<size_t>(arguments.contexts));
  std::vector<llama_context_ptr> contexts;
  for (size_t i = 0; i < tokens.size(); ++i)
    contexts.push_back(make_context(model.get(), arguments.sequences));
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < tokens.size(); ++i)
      threads.emplace_back([&, i] { tokens[i] = decode(contexts[i].get(), arguments); });
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  long all = 0;
  for (const long count : tokens) all += count;
  std::printf("%d contexts of %d sequences: %.0f tokens/s\n", arguments.contexts,
              arguments.sequences, static_cast<double>(all) / seconds);
  return 0;
}
