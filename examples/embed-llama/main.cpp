// A bounded llama.cpp context: generates as many tokens as asked for in a KV cache of 256 rows.
//   embed_llama MODEL.gguf PROMPT N_TOKENS
#include <llama-cpp.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vase/llama.hpp>
#include <vector>

int main(int argc, char **argv) try {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s MODEL.gguf PROMPT N_TOKENS\n", argv[0]);
    return 2;
  }
  const std::string_view text = argv[2];
  const int n_tokens = std::atoi(argv[3]);

  // llama.cpp as ever: a model, its vocabulary, a sampler.
  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  llama_model_ptr model(llama_model_load_from_file(argv[1], llama_model_default_params()));
  if (!model) throw vase::Error(std::string("cannot load ") + argv[1]);
  const llama_vocab *vocab = llama_model_get_vocab(model.get());
  llama_sampler_ptr sampler(llama_sampler_init_greedy());
  std::vector<llama_token> prompt(text.size() + 8);
  prompt.resize(static_cast<size_t>(llama_tokenize(
      vocab, text.data(), static_cast<int32_t>(text.size()), prompt.data(),
      static_cast<int32_t>(prompt.size()), /*add_special=*/true, /*parse_special=*/true)));

  // The bounded context takes the place of llama_init_from_model and llama_decode.
  vase::BoundedOptions options;
  options.policy = vase_params_default(vase_policy_default(), 256);
  vase::BoundedContext context(model.get(), options);
  context.decode({{.sequence = 0, .tokens = prompt}});
  for (int i = 0; i < n_tokens; ++i) {
    llama_token token = llama_sampler_sample(sampler.get(), context.get(), context.logits_index(0));
    char piece[256];
    const int length = llama_token_to_piece(vocab, token, piece, sizeof piece, 0, false);
    std::printf("%.*s", length, piece);
    context.decode({{.sequence = 0, .tokens = {&token, 1}}});
  }

  const vase::SequenceStatistics now = context.statistics(0);
  std::printf("\n%lld tokens, %d rows a head, %lld evictions\n", static_cast<long long>(now.tokens),
              now.rows, static_cast<long long>(now.evictions));
} catch (const std::exception &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
