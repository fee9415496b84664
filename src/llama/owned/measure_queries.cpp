#include "llama/owned/measure_queries.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "llama/graph/query_statistics.hpp"
#include "llama/graph/watcher.hpp"
#include "llama/owned/context_state.hpp"
#include "llama/plan/context_shape.hpp"
#include "llama/plan/log_capture.hpp"

namespace vase {
namespace {

constexpr int32_t kFewestTokens = 64;

// A context whose layers hold the whole text.
ContextShape shape_for(const llama_model *model, const llama_context_params &params,
                       int32_t n_tokens) {
  BoundedOptions options;
  // Nothing is evicted: the budget is there for its cells.
  const int32_t budget = std::max({n_tokens, llama_model_n_swa(model), 256});
  options.policy = vase_params_default(vase_policy_default(), budget);
  options.pin_prompt = 0.0f;
  options.context = params;
  options.context.type_k = options.context.type_v = GGML_TYPE_F16;
  return shape_context(model, options);
}

void check_rotations(std::span<const CacheLayer> layers) {
  if (std::ranges::any_of(layers, [](const CacheLayer &layer) { return layer.rope.unknown; }))
    throw Error(
        "this model rotates its keys and queries in a way that is not known here, so its queries "
        "cannot be measured");
}

}  // namespace

Calibration measure_queries(llama_model *model, const llama_context_params &params,
                            std::span<const llama_token> tokens,
                            const std::function<void(llama_context *)> &prepare,
                            const Progress &progress) {
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  if (n_tokens < kFewestTokens)
    throw Error("the text has " + std::to_string(n_tokens) + " tokens; give one of at least " +
                std::to_string(kFewestTokens) + ", better of some thousands");
  ContextShape shape = shape_for(model, params, n_tokens);
  Watcher watcher(shape.cells, 1);
  shape.params.cb_eval = Watcher::callback;
  shape.params.cb_eval_user_data = &watcher;
  std::unique_ptr<llama_context, ContextState::FreeContext> context;
  {
    const LogCapture log(true);
    context.reset(llama_init_from_model(model, shape.params));
    if (context == nullptr) throw Error("llama.cpp could not make a context" + log.because());
  }
  if (const int32_t status = discover_layers(watcher, context.get()); status != 0)
    throw_decode_failure(status);
  check_rotations(watcher.layers());
  prepare(context.get());
  QueryStatistics statistics(watcher.layers(), n_tokens);
  watcher.capture_queries(&statistics);

  std::vector<llama_token> piece;
  const auto longest =
      static_cast<int32_t>(std::min<uint32_t>(shape.params.n_ubatch, shape.params.n_batch));
  for (int32_t done = 0; done < n_tokens;) {
    if (!progress(done, n_tokens)) throw Stopped("measuring was stopped");
    const int32_t count = std::min(longest, n_tokens - done);
    const auto next = tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(count));
    piece.assign(next.begin(), next.end());
    const std::vector<llama_seq_id> sequences(piece.size(), 0);
    const QueryWish wish{done, 0};
    watcher.begin_decode(sequences, {&wish, 1});
    const int32_t status = llama_decode(context.get(), llama_batch_get_one(piece.data(), count));
    llama_synchronize(context.get());
    watcher.end_decode(status == 0);
    if (status != 0) throw_decode_failure(status);
    done += count;
  }

  Calibration calibration{name_of_model(model), n_tokens, {}};
  for (size_t layer = 0; layer < watcher.layers().size(); ++layer)
    calibration.layers.push_back(
        {watcher.layers()[layer].n_query_heads, statistics.calibration(layer)});
  return calibration;
}

}  // namespace vase
