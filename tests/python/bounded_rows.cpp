// Prints which rows a bounded llama.cpp context holds, for comparison with the Hugging Face cache.
//   bounded_rows MODEL.gguf POLICY BUDGET TOKENS PROMPT PIECE < text
// Reads the first TOKENS tokens of the text, and prints them as a line. The first PROMPT of them
// come in one call, the others PIECE at a time, all caches f32. After each call with an eviction,
// one line: [evictions, [layer [head [token position of each row, ascending]]]].
#include <llama-cpp.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vase/llama.hpp>
#include <vector>

namespace {

void print_rows(const vase::BoundedContext &context) {
  nlohmann::json layers = nlohmann::json::array();
  for (int32_t layer = 0; layer < context.bounded_layers(); ++layer) {
    nlohmann::json heads = nlohmann::json::array();
    for (int32_t head = 0; head < context.heads(layer); ++head) {
      std::vector<int32_t> positions = context.positions(0, layer, head);
      std::ranges::sort(positions);
      heads.push_back(std::move(positions));
    }
    layers.push_back(std::move(heads));
  }
  std::cout << nlohmann::json{context.statistics(0).evictions, std::move(layers)} << std::endl;
}

std::vector<llama_token> tokenize(const llama_model &model, const std::string &text) {
  std::vector<llama_token> tokens(text.size() + 8);
  const int32_t count =
      llama_tokenize(llama_model_get_vocab(&model), text.data(), static_cast<int32_t>(text.size()),
                     tokens.data(), static_cast<int32_t>(tokens.size()), true, false);
  tokens.resize(static_cast<size_t>(std::max(0, count)));
  return tokens;
}

}  // namespace

int main(int argc, char **argv) try {
  if (argc != 7) {
    std::fprintf(stderr, "usage: %s MODEL.gguf POLICY BUDGET TOKENS PROMPT PIECE < text\n",
                 argv[0]);
    return 2;
  }
  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  const llama_model_ptr model(llama_model_load_from_file(argv[1], llama_model_default_params()));
  if (!model) throw vase::Error(std::string("cannot load ") + argv[1]);
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  std::vector<llama_token> tokens = tokenize(*model, text);
  tokens.resize(std::min<size_t>(tokens.size(), std::stoul(argv[4])));
  const size_t prompt = std::stoul(argv[5]), piece = std::stoul(argv[6]);
  std::cout << nlohmann::json(tokens) << std::endl;

  vase::BoundedOptions options;
  options.policy = vase_params_default(vase_policy_find(argv[2]), std::stoi(argv[3]));
  options.context.type_k = options.context.type_v = GGML_TYPE_F32;
  options.context.n_threads = options.context.n_threads_batch = 1;
  vase::BoundedContext context(model.get(), options);

  std::span<const llama_token> left = tokens;
  while (!left.empty()) {
    const int64_t evictions = context.statistics(0).evictions;
    const auto now =
        left.first(std::min(left.size(), left.size() == tokens.size() ? prompt : piece));
    context.decode({{.sequence = 0, .tokens = now}});
    if (context.statistics(0).evictions > evictions) print_rows(context);
    left = left.subspan(now.size());
  }
} catch (const std::exception &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
