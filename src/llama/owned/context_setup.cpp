#include <memory>
#include <string>
#include <utility>

#include "ggml-backend.h"
#include "llama/graph/position_table.hpp"
#include "llama/keeper/warnings.hpp"
#include "llama/owned/context_state.hpp"
#include "llama/plan/calibration.hpp"
#include "llama/plan/log_capture.hpp"

namespace vase {
namespace {

// A step of 192 sequences of SmolLM2 on an H100 took 25 ms in one batch and 310 ms with half of the
// sequences missing in between.
constexpr int32_t kBridgeOnGpu = 64;

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
  // A bridging token is taken back after its step, which a recurrent state does not allow.
  if (llama_model_is_hybrid(model)) largest_gap = 0;
  batch = Batch(static_cast<int32_t>(llama_n_batch(context.get())));
  std::unique_ptr<Evictor> evictor;
  if (shape.evicts) evictor = find_layers();
  KeeperOptions kept{options.policy, pin_of(options), options.n_sequences, shape.cells};
  if (const int64_t table = position_table(model); table > 0) kept.longest = table;
  keeper.emplace(kept, std::make_unique<LlamaLabels>(context.get()), watcher ? &*watcher : nullptr,
                 std::move(evictor));
  sequences.resize(static_cast<size_t>(options.n_sequences));
}

// Where no graph is watched, a small context tells; only where there are more cells than the model
// was trained on, since tables are as long as that.
int64_t ContextState::position_table(llama_model *model) const {
  if (watcher) return watcher->position_table();
  return shape.cells > llama_model_n_ctx_train(model) ? position_table_rows(model) : 0;
}

void ContextState::make_context(llama_model *model) {
  const LogCapture log(true);
  context.reset(llama_init_from_model(model, shape.params));
  if (context == nullptr)
    throw Error("llama.cpp could not make a context of " + std::to_string(shape.params.n_ctx) +
                " cells" + log.because());
  if (llama_get_memory(context.get()) == nullptr)
    throw Error("the model has no KV cache, so there is nothing to bound");
  if (static_cast<int32_t>(llama_n_ctx_seq(context.get())) != shape.cells)
    throw Error("llama.cpp made " + std::to_string(llama_n_ctx_seq(context.get())) +
                " cells a sequence where " + std::to_string(shape.cells) + " were expected");
  for (const LoggedCache &cache : log.caches())
    (cache.recurrent ? state_bytes_ : cache_bytes) += cache.bytes;
  cache_bytes += state_bytes_;
}

std::unique_ptr<Evictor> ContextState::find_layers() {
  const int32_t status = discover_layers(*watcher, context.get());
  if (status == 2) throw_decode_failure(status);
  if (status != 0)
    throw Error("llama_decode failed on the first token (status " + std::to_string(status) + ")");
  cache_bytes = watcher->cache_bytes() + state_bytes_;
  calibrate_layers(*watcher, llama_get_model(context.get()), options.policy.policy,
                   options.calibration);
  const int threads = options.n_threads > 0 ? options.n_threads : llama_n_threads(context.get());
  watcher->sleep_by({context.get(), shape.params.cb_eval, shape.params.cb_eval_user_data});
  if (const std::string &why = watcher->compatible().why; !why.empty())
    inform("vase: " + why + "\n");
  return make_evictor(options.policy, watcher->layers(), shape.cells, options.n_sequences, threads);
}

Sequence &ContextState::sequence(int32_t index) {
  if (index < 0 || index >= options.n_sequences)
    throw Error("sequence " + std::to_string(index) + " is not in 0 to " +
                std::to_string(options.n_sequences - 1));
  return sequences[static_cast<size_t>(index)];
}

}  // namespace vase
