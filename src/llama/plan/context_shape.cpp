#include "llama/plan/context_shape.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "llama/graph/cache_layer.hpp"

namespace vase {
namespace {

// llama.cpp pads the cells of a stream to a multiple of this.
constexpr int64_t kCellPadding = 256;

int64_t pad(int64_t cells) { return (cells + kCellPadding - 1) / kCellPadding * kCellPadding; }

// A value of the model file's metadata; `otherwise` if it has none.
std::string metadata(const llama_model *model, const std::string &key, const char *otherwise) {
  char value[128];
  return llama_model_meta_val_str(model, key.c_str(), value, sizeof(value)) > 0 ? value : otherwise;
}

std::string architecture(const llama_model *model) {
  return metadata(model, "general.architecture", "unknown");
}

// Cells from which on llama.cpp rotates keys for long texts, of a model that has frequencies for
// short and for long ones (LongRoPE: Phi 3 and 4, MiniCPM 3): it chooses by the cells of a sequence
// and not by its text, which is to be a long one here. 0: the same for all.
int64_t cells_for_long_texts(const llama_model *model) {
  const std::string scaling = architecture(model) + ".rope.scaling.";
  const std::string type = metadata(model, scaling + "type", "longrope");
  const int64_t short_ones = std::stoll(metadata(model, scaling + "original_context_length", "0"));
  const bool has_both = short_ones > 0 && short_ones < llama_model_n_ctx_train(model);
  return has_both && type == "longrope" ? pad(short_ones + 1) : 0;
}

void check_options(const llama_model *model, const BoundedOptions &options) {
  const vase_params &policy = options.policy;
  if (policy.policy == nullptr) throw Error("no eviction policy is set (BoundedOptions::policy)");
  const auto max_sequences = static_cast<int32_t>(llama_max_parallel_sequences());
  if (options.n_sequences < 1 || options.n_sequences > max_sequences)
    throw Error("number of sequences " + std::to_string(options.n_sequences) + " is not in 1 to " +
                std::to_string(max_sequences));
  if (options.n_threads < 0)
    throw Error("number of eviction threads " + std::to_string(options.n_threads) +
                " is negative (0 means as many as the context has)");
  if (vase_policy_evicts(policy.policy) == 0) return;

  if (vase_params_check(&policy) != VASE_OK) throw Error(vase_last_error());
  const float pin_prompt = pin_of(options);
  if (!(pin_prompt >= 0.0f && pin_prompt <= 0.9f))
    throw Error("pinned share of the prompt " + std::to_string(pin_prompt) +
                " is not in 0 to 0.9 of the budget");
  if (vase_policy_needs_queries(policy.policy) != 0 &&
      policy.window > policy.budget + policy.interval)
    throw Error(
        "query window " + std::to_string(policy.window) +
        " is longer than budget + interval = " + std::to_string(policy.budget + policy.interval));
  row_type(options.context.type_k, "keys");
  row_type(options.context.type_v, "values");

  // Freeing the oldest labels frees them in sliding-window layers too, which must not lose rows
  // that are still inside the window.
  const int32_t n_swa = llama_model_n_swa(model);
  if (policy.budget < n_swa)
    throw Error("budget " + std::to_string(policy.budget) +
                " is below the model's sliding window of " + std::to_string(n_swa) +
                " tokens; use a budget of at least " + std::to_string(n_swa));
}

// The cells of a layer with a sliding window hold the window and one ubatch. Of a longer batch the
// last ubatches overwrite what the window held before it, and if then the batch fails, taking its
// tokens back would leave a sequence without those rows.
int32_t largest_piece(const llama_model *model, const llama_context_params &params) {
  uint32_t piece = std::min(params.n_batch, params.n_ctx);  // llama.cpp's batch
  if (llama_model_n_swa(model) > 0 && params.n_ubatch != 0)
    piece = std::min(piece, params.n_ubatch);
  return static_cast<int32_t>(piece);
}

// Of a model with attention and recurrent layers.
void shape_for_recurrent_state(llama_context_params &params) {
  // A state that has moved on cannot be taken back, so a step that runs is finished.
  params.abort_callback = nullptr;
  // Its sequences get equally many tokens of a ubatch, and the graph of Kimi Linear does not allow
  // for a rest: llama.cpp aborts while it reserves memory for it.
  const uint32_t n_ubatch =
      params.n_ubatch == 0 ? params.n_batch : std::min(params.n_ubatch, params.n_batch);
  if (n_ubatch > params.n_seq_max) params.n_ubatch = n_ubatch - n_ubatch % params.n_seq_max;
}

}  // namespace

void check_model_can_be_bounded(const llama_model *model) {
  std::string kind;
  if (llama_model_is_recurrent(model)) {
    kind = "recurrent: its state has a fixed size already";
  } else if (llama_model_has_encoder(model)) {
    kind = "an encoder or encoder-decoder model, which is not supported";
  } else if (llama_model_is_diffusion(model)) {
    kind = "a diffusion model, which reads its whole text at each step";
  } else {
    return;
  }
  throw Error("the model (architecture " + architecture(model) + ") cannot be bounded: it is " +
              kind);
}

float pin_of(const BoundedOptions &options) {
  return options.pin_prompt.value_or(vase_policy_default_pin(options.policy.policy));
}

ContextShape shape_context(const llama_model *model, const BoundedOptions &options) {
  check_model_can_be_bounded(model);
  check_options(model, options);

  ContextShape shape;
  shape.evicts = vase_policy_evicts(options.policy.policy) != 0;
  shape.params = options.context;
  shape.params.n_seq_max = static_cast<uint32_t>(options.n_sequences);
  shape.params.kv_unified = false;
  // As llama.cpp's programs have it; the library's default is a cache of all tokens for layers that
  // look back over a window.
  shape.params.swa_full = false;
  if (llama_model_is_hybrid(model)) shape_for_recurrent_state(shape.params);

  int64_t cells = 0;
  if (!shape.evicts) {
    cells = options.context.n_ctx != 0 ? static_cast<int64_t>(options.context.n_ctx)
                                       : llama_model_n_ctx_train(model);
    cells = pad(cells);
  } else {
    cells = pad(static_cast<int64_t>(options.policy.budget) + options.policy.interval);
    cells = std::max(cells, cells_for_long_texts(model));
    const int64_t asked = shape.params.n_ubatch != 0 ? shape.params.n_ubatch : shape.params.n_batch;
    const int64_t n_ubatch = std::clamp<int64_t>(asked, 1, cells * options.n_sequences);
    shape.params.n_ubatch = static_cast<uint32_t>(n_ubatch);
    shape.params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;  // else V is stored transposed
    // The watcher tells bounded layers from sliding-window ones by the number of their cells. Where
    // llama.cpp would give both the same number, the bounded ones get some more.
    const int32_t n_swa = llama_model_n_swa(model);
    while (n_swa > 0 && pad(std::min(cells, n_swa + n_ubatch)) == cells) cells += kCellPadding;
  }

  if (cells * options.n_sequences > std::numeric_limits<int32_t>::max())
    throw Error(
        std::to_string(options.n_sequences) +
        (options.n_sequences == 1 ? " sequence of " : " sequences of ") + std::to_string(cells) +
        " cells are more than llama.cpp can count; use a smaller budget or fewer sequences");
  shape.cells = static_cast<int32_t>(cells);
  shape.params.n_ctx = static_cast<uint32_t>(cells * options.n_sequences);
  // Every sequence gets at least one token into a batch.
  shape.params.n_batch =
      std::max({shape.params.n_batch, static_cast<uint32_t>(options.n_sequences), 1u});
  shape.piece = largest_piece(model, shape.params);
  return shape;
}

}  // namespace vase
