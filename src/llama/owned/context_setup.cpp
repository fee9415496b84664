#include <string>
#include <tuple>
#include <utility>

#include "ggml-backend.h"
#include "llama/keeper/warnings.hpp"
#include "llama/owned/context_state.hpp"
#include "llama/plan/log_capture.hpp"

namespace vase {
namespace {

// A step of 192 sequences of SmolLM2 on an H100 took 25 ms in one batch and 310 ms with half of the
// sequences missing in between.
constexpr int32_t kBridgeOnGpu = 64;

// What the rows and queries of a sequence are kept for.
auto frame_of(const vase_params &p) {
  return std::tuple(p.budget, p.interval, p.window, vase_policy_needs_queries(p.policy));
}

}  // namespace

ContextState::ContextState(llama_model *model, const BoundedOptions &given)
    : options(given), shape(shape_context(model, given)) {
  if (shape.evicts) {
    watcher.emplace(shape.cells, options.n_sequences);
    shape.params.cb_eval = Watcher::callback;
    shape.params.cb_eval_user_data = &*watcher;
  }
  make_context(model);
  const bool gpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) != nullptr;
  largest_gap = options.bridge >= 0 ? options.bridge : gpu ? kBridgeOnGpu : 0;
  batch = Batch(static_cast<int32_t>(llama_n_batch(context.get())));
  if (shape.evicts) find_layers(model);

  const int32_t heads = evictor ? evictor->survivor_heads() : 0;
  const int32_t budget = evictor ? options.policy.budget : 0;
  for (int32_t i = 0; i < options.n_sequences; ++i) {
    Sequence sequence;
    sequence.rows = SequenceRows(heads, budget, shape.cells);
    sequence.params = options.policy;
    sequence.pin_prompt = pin_of(options);
    sequence.draw_stream = static_cast<uint32_t>(i);
    sequences.push_back(std::move(sequence));
  }
}

void ContextState::make_context(llama_model *model) {
  const LogCapture log(true);
  context.reset(llama_init_from_model(model, shape.params));
  if (context == nullptr)
    throw Error("llama.cpp could not make a context of " + std::to_string(shape.params.n_ctx) +
                " cells: " + log.last_error("it did not say why"));
  if (llama_get_memory(context.get()) == nullptr)
    throw Error("the model has no KV cache, so there is nothing to bound");
  if (static_cast<int32_t>(llama_n_ctx_seq(context.get())) != shape.cells)
    throw Error("llama.cpp made " + std::to_string(llama_n_ctx_seq(context.get())) +
                " cells a sequence where " + std::to_string(shape.cells) + " were expected");
  for (const LoggedCache &cache : log.caches()) cache_bytes += cache.bytes;
}

// Runs one token through the model to see its layers, so that a model that cannot be bounded is
// refused before any text is read. Touches the weights, which the first decode would do anyway.
void ContextState::find_layers(const llama_model *model) {
  const llama_vocab *vocab = llama_model_get_vocab(model);
  const llama_token bos = llama_vocab_bos(vocab);
  batch.clear();
  batch.add(bos >= 0 && bos < llama_vocab_n_tokens(vocab) ? bos : 0, 0, 0, true);
  watcher->begin_discovery();
  const int32_t status = llama_decode(context.get(), batch.get());
  llama_synchronize(context.get());
  if (status != 0)
    throw Error("llama_decode failed on the first token (status " + std::to_string(status) + ")");
  watcher->end_discovery();
  llama_memory_clear(llama_get_memory(context.get()), true);
  llama_perf_context_reset(context.get());

  cache_bytes = watcher->cache_bytes();
  const int threads = options.n_threads > 0 ? options.n_threads : llama_n_threads(context.get());
  evictor =
      make_evictor(options.policy, watcher->layers(), shape.cells, options.n_sequences, threads);
  watcher->capture_queries(evictor->queries());
  watcher->sleep_by({context.get(), shape.params.cb_eval, shape.params.cb_eval_user_data});
  look_at_rope(options.policy);
  if (const std::string &why = watcher->compatible().why; !why.empty())
    inform("vase: " + why + "\n");
}

void ContextState::look_at_rope(const vase_params &params) {
  if (warned_of_rope_ || !misses_rope(params, watcher->layers())) return;
  warned_of_rope_ = true;
  warn_of_missing_rope(params.policy);
}

Sequence &ContextState::sequence(int32_t index) {
  if (index < 0 || index >= options.n_sequences)
    throw Error("sequence " + std::to_string(index) + " is not in 0 to " +
                std::to_string(options.n_sequences - 1));
  return sequences[static_cast<size_t>(index)];
}

void ContextState::set_params(Sequence &s, const vase_params &params, float pin_prompt) {
  if (vase_params_check(&params) != VASE_OK) throw Error(vase_last_error());
  if (!evictor || vase_policy_evicts(params.policy) == 0)
    throw Error("policy " + std::string(vase_policy_name(params.policy)) +
                " cannot be set for one sequence: all evict or none does");
  if (s.rows.tokens() > 0 && frame_of(params) != frame_of(s.params))
    throw Error("a sequence that is not empty keeps its budget, interval and window");
  if (params.budget > options.policy.budget)
    throw Error("budget " + std::to_string(params.budget) + " is above the context's, " +
                std::to_string(options.policy.budget));
  if (int64_t{params.budget} + params.interval > shape.cells)
    throw Error("budget + interval is " + std::to_string(int64_t{params.budget} + params.interval) +
                ", but a sequence has " + std::to_string(shape.cells) + " cells");
  if (!(pin_prompt >= 0.0f && pin_prompt <= 0.9f))
    throw Error("pinned share of the prompt " + std::to_string(pin_prompt) +
                " is not in 0 to 0.9 of the budget");
  const int32_t window = evictor->queries() != nullptr ? evictor->queries()->window() : 0;
  if (vase_policy_needs_queries(params.policy) != 0 && window != params.window)
    throw Error("policy " + std::string(vase_policy_name(params.policy)) +
                " scores by the newest " + std::to_string(params.window) +
                " queries, but the context keeps " + std::to_string(window));
  evictor->reserve(params);
  look_at_rope(params);
  s.params = params;
  s.pin_prompt = pin_prompt;
}

}  // namespace vase
