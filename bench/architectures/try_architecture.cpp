// One model through all that a bounded cache promises, with no question asked of its weights: what
// bench/architectures.sh runs for each architecture, in a process each, since llama.cpp aborts on
// what it does not expect.
//
//   try_architecture [--gpu] MODEL.gguf
//
// Prints one line: llama.cpp's class of memory, a verdict ("bounded", "refused", "failed") and a
// remark, with tabs in between.
#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "llama/graph/position_table.hpp"
#include "llama/owned/context_state.hpp"
#include "llama/plan/own_memory.hpp"

namespace {

using vase::ContextState;
using vase::Error;

constexpr int32_t kPiece = 8;  // tokens of a sequence in a batch
constexpr int32_t kSteps = 8;  // tokens that are given one by one, at the end
constexpr int32_t kInterval = 16;
// Three times this is below the 256 positions that the models with a table of them have learned.
constexpr int32_t kBudget = 64;
// What malloc and llama.cpp's graphs may grow by over the last third of a text. CUDA loads a kernel
// into the process when it is first called (up to 16 MiB were seen).
constexpr size_t kFlat = size_t{1} << 20, kFlatOnGpu = size_t{32} << 20;
bool on_gpu = false;

struct Setting {
  int32_t n_sequences;
  ggml_type type;

  std::string name() const { return std::to_string(n_sequences) + " x " + ggml_type_name(type); }
};

vase::BoundedOptions options_for(const char *policy, int32_t budget, const Setting &setting,
                                 uint32_t n_ctx) {
  vase::BoundedOptions options;
  options.policy = vase_params_default(vase_policy_find(policy), budget);
  options.policy.interval = kInterval;
  options.policy.recency = 16;
  options.policy.window = 16;
  options.n_sequences = setting.n_sequences;
  options.n_threads = 1;
  options.context.n_threads = options.context.n_threads_batch = 1;
  options.context.type_k = options.context.type_v = setting.type;
  options.context.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  options.context.n_ubatch = 64;
  options.context.n_ctx = n_ctx;
  return options;
}

std::vector<llama_token> text_for(const llama_model *model, int32_t sequence, int32_t length) {
  std::mt19937 random(static_cast<uint32_t>(sequence) + 1);
  const auto vocabulary = static_cast<uint32_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
  std::vector<llama_token> tokens(static_cast<size_t>(length));
  for (llama_token &token : tokens) token = static_cast<llama_token>(random() % vocabulary);
  return tokens;
}

// Rows of the cache, as bytes, by head and token.
struct Rows {
  ggml_type type = GGML_TYPE_F32;
  std::map<std::pair<int32_t, int32_t>, std::string> by_token;

  std::vector<float> numbers(const std::string &row) const {
    std::vector<float> values(row.size() / ggml_type_size(type) *
                              static_cast<size_t>(ggml_blck_size(type)));
    ggml_get_type_traits(type)->to_float(row.data(), values.data(),
                                         static_cast<int64_t>(values.size()));
    return values;
  }
};

// The rows of a sequence at the first bounded layer. `cache`: of that layer.
Rows rows_of(const ContextState &state, int32_t sequence, const vase::CacheRows &cache) {
  const vase::CacheLayer &layer = state.keeper->layers().front();
  std::vector<std::byte> copy;
  cache.read_stream(sequence, copy);
  const vase_rows rows = cache.in_copy(copy);
  const size_t bytes = ggml_row_size(cache.tensor->type, rows.dim);
  const std::span<const int32_t> cells = state.keeper->ledger().rows(sequence).cells();
  Rows result{cache.tensor->type, {}};
  for (int32_t head = 0; head < layer.n_heads; ++head) {
    const std::vector<int32_t> tokens = state.keeper->positions(sequence, 0, head);
    for (size_t row = 0; row < tokens.size(); ++row) {
      const char *at = static_cast<const char *>(rows.data) + cells[row] * rows.row_stride +
                       head * rows.head_stride;
      result.by_token[{head, tokens[row]}] = std::string(at, bytes);
    }
  }
  return result;
}

struct Outcome {
  std::vector<llama_token> best;            // the likeliest token after each batch, all sequences
  std::vector<Rows> keys, values, carried;  // [sequences]
};

[[noreturn]] void fail(const std::string &what) { throw std::runtime_error(what); }

llama_token likeliest(const ContextState &state, int32_t sequence, size_t vocabulary) {
  const vase::Sequence &own = state.sequences[static_cast<size_t>(sequence)];
  const float *logits =
      llama_get_logits_ith(state.context.get(), own.first_logits + own.n_logits - 1);
  if (!std::all_of(logits, logits + vocabulary, [](float logit) { return std::isfinite(logit); }))
    fail("logits that are not finite");
  return static_cast<llama_token>(std::max_element(logits, logits + vocabulary) - logits);
}

// Reads the texts, each sequence `kPiece` tokens at a time, all of them in one batch.
Outcome read(llama_model *model, const vase::BoundedOptions &options, int32_t length) {
  ContextState state(model, options);
  const auto vocabulary = static_cast<size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
  std::vector<std::vector<llama_token>> texts;
  for (int32_t sequence = 0; sequence < options.n_sequences; ++sequence)
    texts.push_back(text_for(model, sequence, length));
  const bool evicts = vase_policy_evicts(options.policy.policy) != 0;
  Outcome outcome;
  size_t resident = 0;
  for (int32_t done = 0; done < length;) {
    if (resident == 0 && done > 2 * length / 3) resident = vase::resident_without_leftovers();
    const int32_t now = length - done > kSteps ? kPiece : 1;
    std::vector<vase::SequenceInput> inputs;
    for (int32_t sequence = 0; sequence < options.n_sequences; ++sequence)
      inputs.push_back(
          {.sequence = sequence,
           .tokens = std::span(texts[static_cast<size_t>(sequence)])
                         .subspan(static_cast<size_t>(done), static_cast<size_t>(now))});
    state.decode(inputs, {});
    done += now;
    for (int32_t sequence = 0; sequence < options.n_sequences; ++sequence) {
      outcome.best.push_back(likeliest(state, sequence, vocabulary));
      const int32_t rows = state.keeper->ledger().rows(sequence).rows();
      if (evicts && rows > options.policy.budget + options.policy.interval)
        fail(std::to_string(rows) + " rows in a head");
    }
  }
  const size_t after = vase::resident_without_leftovers();
  if (after > resident + (on_gpu ? kFlatOnGpu : kFlat))
    fail("memory grew by " + std::to_string((after - resident) >> 10U) + " KiB");
  if (!evicts) return outcome;
  for (int32_t sequence = 0; sequence < options.n_sequences; ++sequence) {
    const vase::CacheLayer &layer = state.keeper->layers().front();
    outcome.keys.push_back(rows_of(state, sequence, layer.keys));
    outcome.values.push_back(rows_of(state, sequence, layer.values));
    for (const vase::CacheRows &rows : layer.carried)
      outcome.carried.push_back(rows_of(state, sequence, rows));
  }
  return outcome;
}

// Of a model with a table of positions: a text beyond its end is refused, and not an abort.
void check_end(llama_model *model, const vase::BoundedOptions &options) {
  ContextState state(model, options);
  const int64_t longest = state.keeper->longest();
  const std::vector<llama_token> text = text_for(model, 0, static_cast<int32_t>(longest) + 1);
  try {
    state.decode(std::vector<vase::SequenceInput>{{.sequence = 0, .tokens = text}}, {});
  } catch (const Error &) {
    return;
  }
  fail("a text of " + std::to_string(text.size()) + " tokens was read, beyond " +
       std::to_string(longest) + " positions");
}

// As a share of the largest element. Not 0 behind layers with a window: llama.cpp fills their cells
// in another order where some are freed, so that sums over them round differently.
bool are_alike(const Rows &rows, const std::string &a, const std::string &b, float tolerance) {
  if (a == b || tolerance == 0) return a == b;
  const std::vector<float> x = rows.numbers(a), y = rows.numbers(b);
  float largest = 0, difference = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    largest = std::max(largest, std::abs(y[i]));
    difference = std::max(difference, std::abs(x[i] - y[i]));
  }
  return difference <= tolerance * largest;
}

void compare_rows(const std::vector<Rows> &kept, const std::vector<Rows> &all, float tolerance,
                  const char *what) {
  for (size_t sequence = 0; sequence < kept.size(); ++sequence) {
    if (kept[sequence].by_token.size() >= all[sequence].by_token.size())
      fail("nothing was evicted from sequence " + std::to_string(sequence));
    for (const auto &[key, bytes] : kept[sequence].by_token)
      if (!are_alike(kept[sequence], bytes, all[sequence].by_token.at(key), tolerance))
        fail(std::string("the ") + what + " of token " + std::to_string(key.second) + ", head " +
             std::to_string(key.first) + ", is another one than in a plain run");
  }
}

// Windows of thousands of tokens ask for such budgets; then one setting and a few evictions must
// do.
bool is_long(int32_t budget) { return budget > 1024; }

void try_setting(llama_model *model, const Setting &setting, int32_t budget) {
  const int32_t length = is_long(budget) ? budget + 8 * kInterval : 3 * budget;
  const auto run = [&](const char *policy, int32_t rows) {
    try {
      return read(model,
                  options_for(policy, rows, setting, static_cast<uint32_t>(length + kInterval)),
                  length);
    } catch (const Error &) {
      throw;
    } catch (const std::exception &error) {
      fail(std::string(policy) + ", " + setting.name() + ": " + error.what());
    }
  };
  const float tolerance = llama_model_n_swa(model) > 0 ? 0.02f : 0.0f;
  const Outcome all = run("vase-plus", length);
  if (all.best != run("full", budget).best)
    fail(setting.name() + ": other tokens than plain llama.cpp with nothing evicted");
  for (const char *policy : {"vase-plus", "vase", "random"}) {
    const Outcome kept = run(policy, budget);
    compare_rows(kept.keys, all.keys, tolerance, "key");
    compare_rows(kept.values, all.values, tolerance, "value");
    compare_rows(kept.carried, all.carried, tolerance, "indexer's key");
  }
}

// One row of the cache as numbers.
std::vector<float> row_at(const vase::CacheRows &cache, int32_t head) {
  std::vector<std::byte> copy;
  cache.read_stream(0, copy);
  const vase_rows rows = cache.in_copy(copy);
  std::vector<float> row(static_cast<size_t>(rows.dim));
  std::memcpy(row.data(), static_cast<const char *>(rows.data) + head * rows.head_stride,
              row.size() * sizeof(float));
  return row;
}

// How far an element of a key may be off, as a share of the largest: ggml's angles are floats.
constexpr float kTolerance = 0.02f;

// Turns a key of `position` back. `tolerances`: of its elements.
void turn_back(std::vector<float> &row, const vase_rope &rope, int32_t position,
               std::vector<float> &tolerances) {
  for (int32_t pair = 0; pair < rope.pairs; ++pair) {
    const double angle =
        -static_cast<double>(position) * static_cast<double>(rope.frequencies[pair]);
    const auto first = static_cast<size_t>(rope.stride == 1 ? 2 * pair : pair);
    const size_t second = first + static_cast<size_t>(rope.stride);
    const auto x = static_cast<double>(row[first]), y = static_cast<double>(row[second]);
    row[first] = static_cast<float>(x * std::cos(angle) - y * std::sin(angle));
    row[second] = static_cast<float>(x * std::sin(angle) + y * std::cos(angle));
    tolerances[first] = tolerances[second] = kTolerance + 16 * static_cast<float>(std::abs(angle)) *
                                                              std::numeric_limits<float>::epsilon();
  }
}

// Whether the rotation of keys is what the graph was read to say: the key of a token alone, far out
// and turned back, must be the key that it has at the beginning, where nothing is turned. A token
// alone, since then it is alike in all layers. Returns how many layers have an unknown rotation.
int32_t check_rotation(llama_model *model) {
  constexpr int32_t kFarOut = 5000;
  vase::BoundedOptions options =
      options_for("random", std::max(kBudget, llama_model_n_swa(model)), {1, GGML_TYPE_F32}, 0);
  ContextState state(model, options);
  const auto keys_at = [&](int32_t position) {
    llama_memory_clear(llama_get_memory(state.context.get()), true);
    vase::Batch batch(1);
    batch.add(1, position, 0, true);
    if (llama_decode(state.context.get(), batch.get()) != 0)
      fail("a token at position " + std::to_string(position) + " was not decoded");
    llama_synchronize(state.context.get());
    std::vector<std::vector<float>> keys;
    for (const vase::CacheLayer &layer : state.keeper->layers())
      for (int32_t head = 0; head < layer.n_heads; ++head) keys.push_back(row_at(layer.keys, head));
    return keys;
  };
  const auto near = keys_at(0);
  auto far = keys_at(kFarOut);
  int32_t unknown = 0;
  size_t at = 0;
  for (const vase::CacheLayer &layer : state.keeper->layers()) {
    unknown += layer.rope.unknown ? 1 : 0;
    for (int32_t head = 0; head < layer.n_heads; ++head, ++at) {
      if (layer.rope.unknown) continue;
      std::vector<float> tolerances(near[at].size(), kTolerance);
      turn_back(far[at], layer.rope.view(), kFarOut, tolerances);
      const auto largest = std::abs(
          *std::ranges::max_element(near[at], {}, [](float value) { return std::abs(value); }));
      for (size_t i = 0; i < near[at].size(); ++i)
        if (std::abs(far[at][i] - near[at][i]) > tolerances[i] * largest)
          fail("element " + std::to_string(i) + " of a key is not turned as its graph says");
    }
  }
  return unknown;
}

// The name of llama.cpp's class, by the table of virtual functions that the object begins with.
std::string memory_class(llama_model *model) {
  struct Free {
    void operator()(llama_context *context) const { llama_free(context); }
  };
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 512;
  params.n_ubatch = params.n_batch = 64;
  const std::unique_ptr<llama_context, Free> context(llama_init_from_model(model, params));
  if (context == nullptr) return "unknown";
  const llama_memory_t memory = llama_get_memory(context.get());
  if (memory == nullptr) return "none";
  const void *table = nullptr;
  std::memcpy(&table, memory, sizeof(table));
  Dl_info info{};
  if (dladdr(table, &info) == 0 || info.dli_sname == nullptr) return "unknown";
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), std::free);
  const std::string text = name ? name.get() : info.dli_sname;
  const std::string_view what = "vtable for ";
  return text.starts_with(what) ? text.substr(what.size()) : text;
}

std::string try_all(llama_model *model) {
  const int32_t budget = std::max(kBudget, llama_model_n_swa(model));
  std::set<std::string> refusals;
  int32_t settings = 0, refused = 0;
  for (const int32_t n_sequences : {1, 3})
    for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0}) {
      const Setting setting{n_sequences, type};
      if (is_long(budget) && settings > 0) continue;
      ++settings;
      try {
        try_setting(model, setting, budget);
      } catch (const Error &error) {
        ++refused;
        refusals.insert(error.what());
      }
    }
  // What llama.cpp does not make is no refusal of ours, where there is one.
  const auto of_llama = [](const std::string &refusal) {
    return refusal.find("could not make a context") != std::string::npos;
  };
  if (!std::ranges::all_of(refusals, of_llama)) std::erase_if(refusals, of_llama);
  std::string why;
  for (const std::string &refusal : refusals) why += (why.empty() ? "" : "; ") + refusal;
  if (refused == 0 && vase::position_table_rows(model) > 0) {
    const Setting setting{1, GGML_TYPE_F16};
    check_end(model, options_for("vase-plus", budget, setting, 0));
    check_end(model, options_for("full", budget, setting, 1024));
    return "bounded\tno text is longer than its table of positions";
  }
  if (refused == 0)
    if (const int32_t unknown = check_rotation(model); unknown > 0)
      return "bounded\tvase-plus compares keys as they are stored: their rotation is not known";
  if (refused == 0)
    return budget == kBudget
               ? "bounded"
               : "bounded\tby budgets from its window on, " + std::to_string(budget) + " rows";
  if (refused == settings) return "refused\t" + why;
  if (std::ranges::all_of(refusals, of_llama) && refused * 2 == settings)
    return "bounded\twith a cache of f16: llama.cpp makes none of q8_0 for heads of this size";
  return "partly\t" + std::to_string(settings - refused) + " of " + std::to_string(settings) +
         " settings, else: " + why;
}

}  // namespace

int main(int argc, char **argv) {
  on_gpu = argc == 3 && std::strcmp(argv[1], "--gpu") == 0;
  if (argc != 2 && !on_gpu) {
    std::fprintf(stderr, "usage: %s [--gpu] MODEL.gguf\n", argv[0]);
    return 2;
  }
  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  ggml_backend_load_all();
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = on_gpu ? 999 : 0;
  params.use_extra_bufts = false;
  const std::unique_ptr<llama_model, decltype(&llama_model_free)> model(
      llama_model_load_from_file(argv[argc - 1], params), llama_model_free);
  if (model == nullptr) {
    std::printf("unknown\tfailed\tllama.cpp cannot load it\n");
    return 1;
  }
  std::printf("%s\t", memory_class(model.get()).c_str());
  std::fflush(stdout);  // an abort leaves the class behind
  try {
    std::printf("%s\n", try_all(model.get()).c_str());
  } catch (const std::exception &error) {
    std::printf("failed\t%s\n", error.what());
    return 1;
  }
  return 0;
}
