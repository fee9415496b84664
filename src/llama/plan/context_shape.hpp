// How large a llama.cpp context must be to hold a budget, and what cannot be bounded at all.
#ifndef VASE_LLAMA_PLAN_CONTEXT_SHAPE_HPP
#define VASE_LLAMA_PLAN_CONTEXT_SHAPE_HPP

#include <cstdint>

#include "vase/llama.hpp"

namespace vase {

struct ContextShape {
  bool evicts = false;  ///< false: plain llama.cpp
  int32_t cells = 0;    ///< of each sequence's stream
  int32_t piece = 0;    ///< tokens of one sequence in one batch, at most
  llama_context_params params = llama_context_default_params();  ///< without the callback
};

/// Decides the shape of the context. Throws Error, in one line, if the model's architecture cannot
/// be bounded or an option does not fit it.
ContextShape shape_context(const llama_model *model, const BoundedOptions &options);

/// The share of the budget up to which prompts are pinned: as given, or as the policy wants it.
float pin_of(const BoundedOptions &options);

/// Throws Error if no policy can bound this model's cache: it has none, or one of another kind.
void check_model_can_be_bounded(const llama_model *model);

}  // namespace vase

#endif
