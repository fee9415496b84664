// The functions of libllama that make, measure, run and free contexts, and what stands in front of
// them.
#include <string>

#include "interpose/guests.hpp"
#include "interpose/observer.hpp"
#include "interpose/real.hpp"
#include "interpose/report.hpp"
#include "vase/llama.hpp"

namespace vase::interpose {
namespace {

// Why a context is none of ours; "" if it is.
std::string why_left_alone(const llama_model *model, const llama_context_params &params) {
  if (params.embeddings || (params.pooling_type != LLAMA_POOLING_TYPE_UNSPECIFIED &&
                            params.pooling_type != LLAMA_POOLING_TYPE_NONE))
    return "it is for embeddings, which read each text once";
  if (params.attention_type == LLAMA_ATTENTION_TYPE_NON_CAUSAL)
    return "it attends to what comes later, so nothing can be given up";
  if (params.ctx_type != LLAMA_CONTEXT_TYPE_DEFAULT)
    return "it drafts by the model's own extra layers (multi-token prediction)";
  if (llama_model_has_encoder(model)) return "the model has an encoder";
  return {};
}

}  // namespace
}  // namespace vase::interpose

using namespace vase::interpose;

VASE_IN_FRONT llama_context *llama_init_from_model(llama_model *model,
                                                   llama_context_params params) {
  const auto make = VASE_REAL(llama_init_from_model);
  if (Aside::active() || settings() == nullptr || model == nullptr) return make(model, params);
  if (const std::string why = why_left_alone(model, params); !why.empty()) {
    say("a context is left as it is: " + why);
    return make(model, params);
  }
  try {
    auto guest = std::make_unique<Guest>(model, params, *settings(), is_weightless(model));
    llama_context *context = guest->context();
    add_guest(std::move(guest));
    begin_to_show(*settings());
    return context;
  } catch (const std::exception &error) {
    say(std::string(error.what()) + "; no context was made, start the program without vase exec");
    return nullptr;
  }
}

VASE_IN_FRONT llama_context *llama_new_context_with_model(llama_model *model,
                                                          llama_context_params params) {
  return llama_init_from_model(model, params);
}

VASE_IN_FRONT void llama_free(llama_context *context) {
  if (Aside::active() || !remove_guest(context)) VASE_REAL(llama_free)(context);
}

VASE_IN_FRONT llama_model *llama_model_load_from_file(const char *path, llama_model_params params) {
  llama_model *model = VASE_REAL(llama_model_load_from_file)(path, params);
  if (params.no_alloc && model != nullptr) note_weightless(model);
  return model;
}

VASE_IN_FRONT llama_model *llama_model_load_from_splits(const char **paths, size_t n_paths,
                                                        llama_model_params params) {
  llama_model *model = VASE_REAL(llama_model_load_from_splits)(paths, n_paths, params);
  if (params.no_alloc && model != nullptr) note_weightless(model);
  return model;
}

VASE_IN_FRONT void llama_model_free(llama_model *model) {
  forget_model(model);
  VASE_REAL(llama_model_free)(model);
}

VASE_IN_FRONT uint32_t llama_n_ctx(const llama_context *context) {
  const Guest *guest = guest_of(context);
  return guest != nullptr ? guest->n_ctx() : VASE_REAL(llama_n_ctx)(context);
}

VASE_IN_FRONT uint32_t llama_n_ctx_seq(const llama_context *context) {
  const Guest *guest = guest_of(context);
  return guest != nullptr ? guest->n_ctx_seq() : VASE_REAL(llama_n_ctx_seq)(context);
}

// A program that sees this knows that only the newest tokens can be taken back, and puts sequences
// aside where it may want to return (llama-server's context checkpoints).
VASE_IN_FRONT uint32_t llama_n_rs_seq(const llama_context *context) {
  const Guest *guest = guest_of(context);
  return guest != nullptr ? guest->rollback() : VASE_REAL(llama_n_rs_seq)(context);
}

VASE_IN_FRONT int32_t llama_decode(llama_context *context, llama_batch batch) {
  const auto run = [&] { return VASE_REAL(llama_decode)(context, batch); };
  Guest *guest = guest_of(context);
  return guest != nullptr ? guest->decode(notes_of(batch), run) : run();
}

VASE_IN_FRONT int32_t llama_process(llama_context *context, llama_process_type type,
                                    llama_batch_ext *batch) {
  const auto run = [&] { return VASE_REAL(llama_process)(context, type, batch); };
  Guest *guest = guest_of(context);
  if (guest == nullptr || type != LLAMA_PROCESS_TYPE_DECODE) return run();
  return guest->decode(notes_of(batch), run);
}
